package metric

import (
	"encoding/json"
	"reflect"
	"slices"

	"github.com/nnrt/nnrt/internal/classes"
	"github.com/nnrt/nnrt/internal/errs"
)

func numberOrList(p []byte, out *[]float64) error {
	var v float64
	if string(p) != "null" && json.Unmarshal(p, &v) == nil {
		*out = []float64{v}
		return nil
	}
	return json.Unmarshal(p, out)
}

// row is a class of metrics: its Keras names (class name, default instance name, aliases) and its maker.
type row struct {
	class, name string
	aliases     []string
	make        func() Metric
}

//go:noinline
func fnRow(class, name string, f func(t, p array) (array, error), aliases ...string) row {
	return row{class, name, aliases, func() Metric { return &fnMetric{f: f} }}
}

// metrics is every metric of Keras.
var metrics = []row{
	{"Mean", "mean", nil, func() Metric { return &Mean{} }},
	{"Sum", "sum", nil, func() Metric { return &Sum{} }},
	fnRow("Accuracy", "accuracy", equal),
	{"BinaryAccuracy", "binary_accuracy", nil, func() Metric { return &BinaryAccuracy{} }},
	fnRow("CategoricalAccuracy", "categorical_accuracy", categoricalAccuracy),
	fnRow("SparseCategoricalAccuracy", "sparse_categorical_accuracy", sparseAccuracy),
	{"TopKCategoricalAccuracy", "top_k_categorical_accuracy", nil, func() Metric { return &TopKCategoricalAccuracy{} }},
	{"SparseTopKCategoricalAccuracy", "sparse_top_k_categorical_accuracy", nil,
		func() Metric { return &SparseTopKCategoricalAccuracy{} }},
	{"BinaryCrossentropy", "binary_crossentropy", []string{"bce", "BCE"}, func() Metric { return &BinaryCrossentropy{} }},
	{"CategoricalCrossentropy", "categorical_crossentropy", nil, func() Metric { return &CategoricalCrossentropy{} }},
	{"SparseCategoricalCrossentropy", "sparse_categorical_crossentropy", nil,
		func() Metric { return &SparseCategoricalCrossentropy{} }},
	fnRow("KLDivergence", "kl_divergence", perRow(klDivergence), "kld", "KLD", "kullback_leibler_divergence"),
	fnRow("Poisson", "poisson", meanOf(poisson)),
	fnRow("MeanSquaredError", "mean_squared_error", meanOf(squaredError), "mse", "MSE"),
	{"RootMeanSquaredError", "root_mean_squared_error", []string{"rmse", "RMSE"},
		func() Metric { return &RootMeanSquaredError{} }},
	fnRow("MeanAbsoluteError", "mean_absolute_error", meanOf(absoluteError), "mae", "MAE"),
	fnRow("MeanAbsolutePercentageError", "mean_absolute_percentage_error", meanOf(percentageError), "mape", "MAPE"),
	fnRow("MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", meanOf(squaredLogError), "msle", "MSLE"),
	{"CosineSimilarity", "cosine_similarity", []string{"cosine"}, func() Metric { return &CosineSimilarity{} }},
	fnRow("LogCoshError", "logcosh", meanOf(logCosh), "log_cosh", "log_cosh_error"),
	{"R2Score", "r2_score", nil, func() Metric { return &R2Score{} }},
	{"PearsonCorrelation", "pearson_correlation", nil, func() Metric { return &PearsonCorrelation{} }},
	{"ConcordanceCorrelation", "concordance_correlation", nil, func() Metric { return &ConcordanceCorrelation{} }},
	{"AUC", "auc", nil, func() Metric { return &AUC{} }},
	{"FalseNegatives", "false_negatives", nil, func() Metric { return &conditionCount{which: 3} }},
	{"FalsePositives", "false_positives", nil, func() Metric { return &conditionCount{which: 1} }},
	{"TrueNegatives", "true_negatives", nil, func() Metric { return &conditionCount{which: 2} }},
	{"TruePositives", "true_positives", nil, func() Metric { return &conditionCount{which: 0} }},
	{"Precision", "precision", nil, func() Metric { return &Precision{} }},
	{"Recall", "recall", nil, func() Metric { return &Recall{} }},
	{"PrecisionAtRecall", "precision_at_recall", nil, func() Metric { return &PrecisionAtRecall{} }},
	{"RecallAtPrecision", "recall_at_precision", nil, func() Metric { return &RecallAtPrecision{} }},
	{"SensitivityAtSpecificity", "sensitivity_at_specificity", nil,
		func() Metric { return &SensitivityAtSpecificity{} }},
	{"SpecificityAtSensitivity", "specificity_at_sensitivity", nil,
		func() Metric { return &SpecificityAtSensitivity{} }},
	fnRow("Hinge", "hinge", hinge),
	fnRow("SquaredHinge", "squared_hinge", squaredHinge),
	fnRow("CategoricalHinge", "categorical_hinge", perRow(categoricalHinge)),
	{"F1Score", "f1_score", nil, func() Metric { return &F1Score{} }},
	{"FBetaScore", "fbeta_score", nil, func() Metric { return &FBetaScore{} }},
	{"IoU", "io_u", nil, func() Metric { return &IoU{} }},
	{"BinaryIoU", "binary_io_u", nil, func() Metric { return &BinaryIoU{} }},
	{"MeanIoU", "mean_io_u", nil, func() Metric { return &MeanIoU{} }},
	{"OneHotIoU", "one_hot_io_u", nil, func() Metric { return &OneHotIoU{} }},
	{"OneHotMeanIoU", "one_hot_mean_io_u", nil, func() Metric { return &OneHotMeanIoU{} }},
}

// New makes the metric of a Keras name: "auc", "AUC", "mse". An alias stays the metric's name, as in Keras.
// "accuracy" is the plain comparison here; ForShapes finds the kind that suits a model's output.
func New(name string) (Metric, error) {
	m, err := Decode(name, nil)
	if err != nil {
		return nil, err
	}
	for _, r := range metrics {
		for _, a := range r.aliases {
			if a == name {
				Rename(m, name)
			}
		}
	}
	return m, nil
}

// SetDefaultName gives a metric that was made as a struct the name that Keras' class has.
func SetDefaultName(m Metric) {
	d, ok := m.(interface{ setDefaultName(string) })
	if _, fn := m.(*fnMetric); fn || !ok {
		return
	}
	for _, r := range metrics {
		if reflect.TypeOf(r.make()) == reflect.TypeOf(m) && reflect.TypeOf(m) != reflect.TypeFor[*conditionCount]() {
			d.setDefaultName(r.name)
		}
	}
}

// Rename gives m another name.
func Rename(m Metric, name string) {
	if r, ok := m.(interface{ Rename(string) }); ok {
		r.Rename(name)
	}
}

// Decode makes a metric of a Keras class (or function) name from its config; absent keys take Keras'
// defaults.
func Decode(class string, config json.RawMessage) (Metric, error) {
	if class == "MeanMetricWrapper" { // as tf.keras 2 saves a function given as a metric
		var w struct{ Fn, Name string }
		if err := json.Unmarshal(config, &w); err != nil || w.Fn == "" || w.Fn == class {
			return nil, errs.Errorf("metric: %s of no known function: %s", class, config)
		}
		name, err := json.Marshal(map[string]string{"name": w.Name})
		if err != nil {
			return nil, err
		}
		return Decode(w.Fn, name)
	}
	for _, r := range metrics {
		names := append([]string{r.class, r.name}, r.aliases...)
		for _, n := range names {
			if n != class {
				continue
			}
			m := r.make()
			m.(interface{ setDefaultName(string) }).setDefaultName(r.name)
			m.(interface{ setClass(string) }).setClass(r.class)
			if len(config) > 0 {
				if err := json.Unmarshal(config, m); err != nil {
					return nil, errs.Errorf("metric: %s config: %w", class, err)
				}
			}
			return m, nil
		}
	}
	return nil, errs.Errorf("metric: unknown metric %q", class)
}

// ForShapes resolves "accuracy" ("acc") and "crossentropy" ("ce") by the shapes of targets and outputs, as
// Keras' compile does: binary for one output unit, sparse for class numbers, else categorical. Other names
// go to New. The metric keeps the name it was asked by.
func ForShapes(name string, yTrue, yPred []int) (Metric, error) {
	kind := ""
	switch name {
	case "accuracy", "acc":
		kind = "Accuracy"
	case "crossentropy", "ce":
		kind = "Crossentropy"
	default:
		return New(name)
	}
	last := func(s []int) int {
		if len(s) == 0 {
			return 0
		}
		return s[len(s)-1]
	}
	prefix := "Categorical"
	switch {
	case last(yPred) == 1:
		prefix = "Binary"
	case (len(yTrue) < len(yPred) || last(yTrue) == 1) && last(yPred) > 1:
		prefix = "SparseCategorical"
	}
	m, err := Decode(prefix+kind, nil)
	if err == nil {
		Rename(m, name)
	}
	return m, err
}

// Encode is m's class name and config as Keras writes them.
func Encode(m Metric) (class string, config json.RawMessage, err error) {
	b, ok := m.(interface{ keras() (class, name string) })
	if !ok {
		return "", nil, errs.Errorf("metric: %T is none of Keras'", m)
	}
	class, name := b.keras()
	if class == "" { // made as a struct
		for _, r := range metrics {
			if reflect.TypeOf(r.make()) == reflect.TypeOf(m) {
				class, name = r.class, m.Name()
			}
		}
	}
	if class == "" {
		return "", nil, errs.Errorf("metric: %T is none of Keras'", m)
	}
	cfg := map[string]any{}
	given(reflect.ValueOf(m), cfg)
	cfg["name"] = name
	config, err = classes.Marshal(cfg)
	return class, config, err
}

// given gathers the fields that differ from the zero value, which stands for Keras' default; fields that
// Keras has no default for are always there.
func given(v reflect.Value, cfg map[string]any) {
	v = reflect.Indirect(v)
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key := f.Tag.Get("json")
		switch {
		case f.Anonymous:
			given(v.Field(i), cfg)
		case key != "" && (!v.Field(i).IsZero() || slices.Contains(noDefault, key)):
			cfg[key] = v.Field(i).Interface()
		}
	}
}

// noDefault is the parameters that Keras' classes demand.
var noDefault = []string{"specificity", "sensitivity", "recall", "precision", "num_classes", "target_class_ids"}

// Direction is 1 where more of a metric is better, -1 where less is, 0 where that can't be told.
func Direction(m Metric) int {
	b, ok := m.(interface{ keras() (class, name string) })
	if !ok {
		return 0
	}
	class, _ := b.keras()
	for _, r := range metrics {
		if class == "" && reflect.TypeOf(r.make()) == reflect.TypeOf(m) {
			class = r.class
		}
	}
	switch class {
	case "", "Mean", "Sum", "FalseNegatives", "FalsePositives", "TrueNegatives", "TruePositives":
		return 0
	case "BinaryCrossentropy", "CategoricalCrossentropy", "SparseCategoricalCrossentropy", "KLDivergence", "Poisson", "MeanSquaredError",
		"RootMeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredLogarithmicError", "LogCoshError",
		"Hinge", "SquaredHinge", "CategoricalHinge":
		return -1
	}
	return 1
}
