package layers_test

import (
	"fmt"
	"os"

	"github.com/nnrt/nnrt/layers"
)

// A sequential model is its layers in order; zero fields are Keras' defaults.
func ExampleNewSequential() {
	m := layers.NewSequential("digits",
		&layers.InputLayer{Base: layers.Named("image"), BatchShape: []int{-1, 28, 28, 1}},
		&layers.Conv2D{Filters: 8, KernelSize: []int{3, 3}, Activation: "relu"},
		&layers.MaxPooling2D{},
		&layers.Flatten{},
		&layers.Dropout{Rate: 0.2},
		&layers.Dense{Units: 10, Activation: "softmax"},
	)
	if err := m.Summary(os.Stdout, layers.SummaryOptions{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// Model: "digits"
	// ┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
	// ┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
	// ┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
	// │ conv2d (Conv2D)                 │ (None, 26, 26, 8)      │            80 │
	// ├─────────────────────────────────┼────────────────────────┼───────────────┤
	// │ max_pooling2d (MaxPooling2D)    │ (None, 13, 13, 8)      │             0 │
	// ├─────────────────────────────────┼────────────────────────┼───────────────┤
	// │ flatten (Flatten)               │ (None, 1352)           │             0 │
	// ├─────────────────────────────────┼────────────────────────┼───────────────┤
	// │ dropout (Dropout)               │ (None, 1352)           │             0 │
	// ├─────────────────────────────────┼────────────────────────┼───────────────┤
	// │ dense (Dense)                   │ (None, 10)             │        13,530 │
	// └─────────────────────────────────┴────────────────────────┴───────────────┘
	//  Total params: 13,610 (53.16 KB)
	//  Trainable params: 13,610 (53.16 KB)
	//  Non-trainable params: 0 (0.00 B)
}

// A functional model calls layers on tensors; a layer called twice shares its weights.
func ExampleModel_Apply() {
	m := layers.NewModel("siamese")
	a, b := m.AddInput("a", 4), m.AddInput("b", 4)
	shared := &layers.Dense{Base: layers.Named("embed"), Units: 3, NoBias: true}
	d := m.Apply(&layers.Subtract{}, m.Apply(shared, a), m.Apply(shared, b))
	m.SetOutputs(m.Apply(&layers.Dense{Base: layers.Named("score"), Units: 1, Activation: "sigmoid"}, d))

	g, err := m.Graph(layers.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range g.Params {
		fmt.Println(p.Name, p.Type)
	}
	for _, n := range g.Nodes {
		fmt.Println(n.Origin, n.Op.Name())
	}
	// Output:
	// embed/kernel float32[4,3]
	// score/kernel float32[3,1]
	// score/bias float32[1]
	// embed MatMul
	// embed MatMul
	// subtract Sub
	// score MatMul
	// score Add
	// score Sigmoid
}
