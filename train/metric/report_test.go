package metric_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/train/metric"
)

func ExampleReport_Write() {
	r, err := metric.NewReport([]int{0, 1, 2, 2, 2}, []int{0, 0, 2, 2, 1}, []string{"cat", "dog", "fox"})
	if err == nil {
		err = r.Write(os.Stdout)
	}
	if err != nil {
		panic(err)
	}
	// Output:
	//                       precision     recall   f1-score    support
	//
	//                  cat     0.5000     1.0000     0.6667          1
	//                  dog     0.0000     0.0000     0.0000          1
	//                  fox     1.0000     0.6667     0.8000          3
	//
	//             accuracy                           0.6000          5
	//            macro avg     0.5000     0.5556     0.4889          5
	//         weighted avg     0.7000     0.6000     0.6133          5
	//
	//     true \ predicted    cat    dog    fox
	//                  cat      1      0      0
	//                  dog      1      0      0
	//                  fox      0      1      2
}

func TestReportRefuses(t *testing.T) {
	for _, c := range [][2][]int{{{0}, {0, 1}}, {nil, nil}, {{-1}, {0}}, {{0}, {1 << 30}}} {
		_, err := metric.NewReport(c[0], c[1], nil)
		require.Error(t, err)
	}
	r, err := metric.NewReport(make([]int, 20), []int{19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, nil)
	require.NoError(t, err)
	var b strings.Builder
	require.NoError(t, r.Write(&b))
	require.NotContains(t, b.String(), "predicted")
}
