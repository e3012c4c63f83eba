package loss

import (
	"encoding/json"

	"github.com/nnrt/nnrt/internal/classes"
)

func named(s string) Config { return Config{Name: s, Reduction: SumOverBatchSize} }

// table is every loss of Keras.
var table = classes.Table{Package: "loss", Kind: "loss", Rows: []classes.Row{
	{Default: KLDivergence{named("kl_divergence")},
		Names: []string{"KLDivergence", "kl_divergence", "kld", "KLD", "kullback_leibler_divergence"}},
	{Default: Poisson{named("poisson")}, Names: []string{"Poisson", "poisson"}},
	{Default: BinaryCrossentropy{Config: named("binary_crossentropy")},
		Names: []string{"BinaryCrossentropy", "binary_crossentropy", "bce", "BCE"}},
	{Default: BinaryFocalCrossentropy{Config: named("binary_focal_crossentropy"), Alpha: 0.25, Gamma: 2},
		Names: []string{"BinaryFocalCrossentropy", "binary_focal_crossentropy"}},
	{Default: CategoricalCrossentropy{Config: named("categorical_crossentropy")},
		Names: []string{"CategoricalCrossentropy", "categorical_crossentropy"}},
	{Default: CategoricalFocalCrossentropy{Config: named("categorical_focal_crossentropy"), Alpha: Weights{0.25}, Gamma: 2},
		Names: []string{"CategoricalFocalCrossentropy", "categorical_focal_crossentropy"}},
	{Default: SparseCategoricalCrossentropy{Config: named("sparse_categorical_crossentropy")},
		Names: []string{"SparseCategoricalCrossentropy", "sparse_categorical_crossentropy"}},
	{Default: MeanSquaredError{named("mean_squared_error")}, Names: []string{"MeanSquaredError", "mean_squared_error", "mse", "MSE"}},
	{Default: MeanAbsoluteError{named("mean_absolute_error")}, Names: []string{"MeanAbsoluteError", "mean_absolute_error", "mae", "MAE"}},
	{Default: MeanAbsolutePercentageError{named("mean_absolute_percentage_error")},
		Names: []string{"MeanAbsolutePercentageError", "mean_absolute_percentage_error", "mape", "MAPE"}},
	{Default: MeanSquaredLogarithmicError{named("mean_squared_logarithmic_error")},
		Names: []string{"MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", "msle", "MSLE"}},
	{Default: CosineSimilarity{Config: named("cosine_similarity")}, Names: []string{"CosineSimilarity", "cosine_similarity", "cosine"}},
	{Default: LogCosh{named("log_cosh")}, Names: []string{"LogCosh", "log_cosh", "logcosh"}},
	{Default: Huber{Config: named("huber_loss"), Delta: 1}, Names: []string{"Huber", "huber", "huber_loss"}},
	{Default: Hinge{named("hinge")}, Names: []string{"Hinge", "hinge"}},
	{Default: SquaredHinge{named("squared_hinge")}, Names: []string{"SquaredHinge", "squared_hinge"}},
	{Default: CategoricalHinge{named("categorical_hinge")}, Names: []string{"CategoricalHinge", "categorical_hinge"}},
	{Default: CTC{named("ctc")}, Names: []string{"CTC", "ctc"}},
	{Default: Dice{Config: named("dice")}, Names: []string{"Dice", "dice"}},
	{Default: Tversky{Config: named("tversky"), Alpha: 0.5, Beta: 0.5}, Names: []string{"Tversky", "tversky"}},
	{Default: Circle{Config: named("circle"), Gamma: 80, Margin: 0.4, RemoveDiagonal: true}, Names: []string{"Circle", "circle"}},
	{Default: CategoricalGeneralizedCrossEntropy{Config: named("categorical_generalized_cross_entropy"), Q: 0.5},
		Names: []string{"CategoricalGeneralizedCrossEntropy", "categorical_generalized_cross_entropy"}},
}}

// New is the loss of a Keras name ("mse", "MeanSquaredError") with its default config.
func New(name string) (Loss, error) { return Decode(name, nil) }

// Decode makes the loss of a Keras class (or function) name from its config; absent keys take Keras'
// defaults.
func Decode(name string, config json.RawMessage) (Loss, error) {
	v, err := table.Decode(name, config)
	if err != nil {
		return nil, err
	}
	return v.(Loss), nil
}

// Encode is l's class name and config as Keras writes them.
func Encode(l Loss) (class string, config json.RawMessage, err error) {
	return table.Encode(l)
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
