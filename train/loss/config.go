package loss

import (
	"encoding/json"
	"reflect"

	"github.com/nnrt/nnrt/internal/errs"
)

// row is a class with its defaults; the names are the class, the function, and Keras' other spellings.
type row struct {
	def   Loss
	names []string
}

func named(s string) Config { return Config{Name: s, Reduction: SumOverBatchSize} }

// rows is every loss of Keras.
var rows = []row{
	{KLDivergence{named("kl_divergence")},
		[]string{"KLDivergence", "kl_divergence", "kld", "KLD", "kullback_leibler_divergence"}},
	{Poisson{named("poisson")}, []string{"Poisson", "poisson"}},
	{BinaryCrossentropy{Config: named("binary_crossentropy")},
		[]string{"BinaryCrossentropy", "binary_crossentropy", "bce", "BCE"}},
	{BinaryFocalCrossentropy{Config: named("binary_focal_crossentropy"), Alpha: 0.25, Gamma: 2},
		[]string{"BinaryFocalCrossentropy", "binary_focal_crossentropy"}},
	{CategoricalCrossentropy{Config: named("categorical_crossentropy")},
		[]string{"CategoricalCrossentropy", "categorical_crossentropy"}},
	{CategoricalFocalCrossentropy{Config: named("categorical_focal_crossentropy"), Alpha: Weights{0.25}, Gamma: 2},
		[]string{"CategoricalFocalCrossentropy", "categorical_focal_crossentropy"}},
	{SparseCategoricalCrossentropy{Config: named("sparse_categorical_crossentropy")},
		[]string{"SparseCategoricalCrossentropy", "sparse_categorical_crossentropy"}},
	{MeanSquaredError{named("mean_squared_error")}, []string{"MeanSquaredError", "mean_squared_error", "mse", "MSE"}},
	{MeanAbsoluteError{named("mean_absolute_error")}, []string{"MeanAbsoluteError", "mean_absolute_error", "mae", "MAE"}},
	{MeanAbsolutePercentageError{named("mean_absolute_percentage_error")},
		[]string{"MeanAbsolutePercentageError", "mean_absolute_percentage_error", "mape", "MAPE"}},
	{MeanSquaredLogarithmicError{named("mean_squared_logarithmic_error")},
		[]string{"MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", "msle", "MSLE"}},
	{CosineSimilarity{Config: named("cosine_similarity")}, []string{"CosineSimilarity", "cosine_similarity", "cosine"}},
	{LogCosh{named("log_cosh")}, []string{"LogCosh", "log_cosh", "logcosh"}},
	{Huber{Config: named("huber_loss"), Delta: 1}, []string{"Huber", "huber", "huber_loss"}},
	{Hinge{named("hinge")}, []string{"Hinge", "hinge"}},
	{SquaredHinge{named("squared_hinge")}, []string{"SquaredHinge", "squared_hinge"}},
	{CategoricalHinge{named("categorical_hinge")}, []string{"CategoricalHinge", "categorical_hinge"}},
	{CTC{named("ctc")}, []string{"CTC", "ctc"}},
	{Dice{Config: named("dice")}, []string{"Dice", "dice"}},
	{Tversky{Config: named("tversky"), Alpha: 0.5, Beta: 0.5}, []string{"Tversky", "tversky"}},
	{Circle{Config: named("circle"), Gamma: 80, Margin: 0.4, RemoveDiagonal: true}, []string{"Circle", "circle"}},
	{CategoricalGeneralizedCrossEntropy{Config: named("categorical_generalized_cross_entropy"), Q: 0.5},
		[]string{"CategoricalGeneralizedCrossEntropy", "categorical_generalized_cross_entropy"}},
}

// New is the loss of a Keras name ("mse", "MeanSquaredError") with its default config.
func New(name string) (Loss, error) { return Decode(name, nil) }

// Decode makes the loss of a Keras class (or function) name from its config; absent keys take Keras'
// defaults.
func Decode(name string, config json.RawMessage) (Loss, error) {
	for _, r := range rows {
		for _, n := range r.names {
			if n != name {
				continue
			}
			p := reflect.New(reflect.TypeOf(r.def))
			p.Elem().Set(reflect.ValueOf(r.def))
			if len(config) > 0 {
				if err := json.Unmarshal(config, p.Interface()); err != nil {
					return nil, errs.Errorf("loss: %s config: %w", name, err)
				}
			}
			return p.Elem().Interface().(Loss), nil
		}
	}
	return nil, errs.Errorf("loss: unknown loss %q", name)
}

// Encode is l's class name and config as Keras writes them.
func Encode(l Loss) (class string, config json.RawMessage, err error) {
	for _, r := range rows {
		if reflect.TypeOf(r.def) == reflect.TypeOf(l) {
			config, err = json.Marshal(l)
			return r.names[0], config, err
		}
	}
	return "", nil, errs.Errorf("loss: %T is none of Keras'", l)
}

// IsClassNumbers reports whether l's targets are class numbers in [0, classes): what data is checked for
// before training.
func IsClassNumbers(l Loss) bool {
	switch l.(type) {
	case SparseCategoricalCrossentropy, CategoricalGeneralizedCrossEntropy, CTC:
		return true
	}
	return false
}
