package train_test

import (
	"context"
	"fmt"
	"math/bits"

	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
	"github.com/nnrt/nnrt/train/optim"
)

// parity is all triples of bits, n times, and whether their sum is odd.
func parity(n int) data.Arrays {
	x, y := tensor.New(tensor.Float32, 8*n, 3), tensor.New(tensor.Int32, 8*n)
	for i := range 8 * n {
		for k := range 3 {
			tensor.As[float32](x)[3*i+k] = float32(i >> k & 1)
		}
		tensor.As[int32](y)[i] = int32(bits.OnesCount(uint(i%8)) % 2)
	}
	return data.New(x, y)
}

func net() *layers.Model {
	return layers.NewSequential("xor",
		&layers.InputLayer{Base: layers.Named("bits"), BatchShape: []int{-1, 3}},
		&layers.Dense{Base: layers.Named("hidden"), Units: 16, Activation: "tanh"},
		&layers.Dense{Base: layers.Named("answer"), Units: 2, Activation: "softmax"})
}

// Compile, fit, evaluate, predict, as in Keras.
func ExampleModel_Fit() {
	device, err := cpu.New(cpu.Options{})
	check(err)
	defer device.Close()
	model, err := train.FromLayers(net(), device, 1)
	check(err)
	adam, err := optim.New("adam")
	check(err)
	check(model.Compile(train.CompileOptions{Optimizer: adam, Loss: "sparse_categorical_crossentropy", Metrics: [][]any{{"accuracy"}}}))
	ctx, xy := context.Background(), parity(32)
	check(model.SetLearningRate(0.02))
	history, err := model.Fit(ctx, xy, train.FitOptions{Epochs: 60, Shuffle: true})
	check(err)
	fmt.Printf("%d epochs, accuracy %.2f\n", len(history.Epoch), history.Last("accuracy"))
	logs, err := model.Evaluate(ctx, xy, train.EvaluateOptions{})
	check(err)
	acc, _ := logs.Get("accuracy")
	fmt.Printf("evaluated: %.2f\n", acc)
	y, err := model.PredictOnBatch(ctx, tensor.Of([]float32{1, 1, 1}, 1, 3))
	check(err)
	fmt.Println("odd:", tensor.As[float32](y[0])[1] > 0.5)
	// Output:
	// 60 epochs, accuracy 1.00
	// evaluated: 1.00
	// odd: true
}

// Fine-tuning: frozen weights are constants of the training step, and stay what they were.
func ExampleModel_SetTrainable() {
	device, err := cpu.New(cpu.Options{})
	check(err)
	defer device.Close()
	l := net()
	model, err := train.FromLayers(l, device, 1)
	check(err)
	fmt.Println(model.SetTrainable("hidden/*", false), "weights frozen")
	check(model.Compile(train.CompileOptions{Loss: "sparse_categorical_crossentropy"}))
	before := append([]float32(nil), tensor.As[float32](model.Value("hidden/kernel"))...)
	_, err = model.Fit(context.Background(), parity(4), train.FitOptions{Epochs: 2})
	check(err)
	same := true
	for i, v := range tensor.As[float32](model.Value("hidden/kernel")) {
		same = same && v == before[i]
	}
	fmt.Println("unchanged:", same)
	check(model.ToLayers(l)) // and from there to a .keras, .h5 or .onnx file
	// Output:
	// 2 weights frozen
	// unchanged: true
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
