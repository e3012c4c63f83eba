package layers

import (
	"bufio"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAllLayers wants every class that keras.layers exports (testdata/keras_layers.txt) in the table with a
// field for each of its options, or listed with a reason.
func TestAllLayers(t *testing.T) {
	f, err := os.Open("testdata/keras_layers.txt")
	require.NoError(t, err)
	defer f.Close()
	n := 0
	for s := bufio.NewScanner(f); s.Scan(); n++ {
		parts := strings.Fields(s.Text())
		names := append([]string{parts[0]}, strings.Split(parts[1], ",")...)
		for _, name := range names {
			if name == "-" {
				continue
			}
			l, ok := New(name)
			if why, listed := notLayers[name]; listed {
				require.False(t, ok, "%s: %s", name, why)
				continue
			}
			if !ok {
				t.Errorf("%s is missing", name)
				continue
			}
			var keys []string
			for _, f := range fieldsOf(reflect.TypeOf(l).Elem()) {
				keys = append(keys, f.key)
			}
			for _, p := range strings.Split(parts[2], ",") {
				if p != "-" && notOptions[p] == "" && notOptions[name+"."+p] == "" && !slices.Contains(keys, p) {
					t.Errorf("%s has no field for %s", name, p)
				}
			}
		}
	}
	require.Greater(t, n, 100)
}

// notLayers is what keras.layers exports and this package doesn't have.
var notLayers = map[string]string{
	"Layer": "abstract", "Wrapper": "abstract", "InputSpec": "not a layer",
	"FlaxLayer": "holds code of another framework", "JaxLayer": "holds code of another framework",
	"TFSMLayer": "holds code of another framework", "TorchModuleWrapper": "holds code of another framework",
}

// notOptions is the arguments of constructors that configs don't have, or that change nothing here.
var notOptions = map[string]string{
	"autocast":              "not in configs",
	"Bidirectional.weights": "initial values", "Embedding.weights": "initial values", "CategoryEncoding.sparse": "how the result is stored",
	"Dense.activity_regularizer": "kept among the other entries, where training finds it", "flash_attention": "how it is computed", "use_cudnn": "how it is computed",
	"lora_rank": "merged into the kernel when saved", "lora_alpha": "merged into the kernel when saved", "gptq_unpacked_column_size": "of quantized kernels",
	"quantization_config": "of quantized kernels", "InputLayer.batch_size": "part of batch_shape", "InputLayer.shape": "part of batch_shape", "InputLayer.input_tensor": "not in configs",
	"Lambda.arguments": "kept as the whole config", "Lambda.function": "kept as the whole config", "Lambda.mask": "kept as the whole config", "Lambda.output_shape": "kept as the whole config",
	"SimpleRNN.seed": "see seed of the others: only dropout draws",
}
