package onnx

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/ops"
)

func TestVersions(t *testing.T) {
	seen := map[opKey]bool{}
	for _, v := range Versions() {
		k := opKey{v.Domain, v.Name}
		require.False(t, seen[k], "%v twice", k)
		seen[k] = true
		require.True(t, slices.IsSorted(v.Since), "%v: %v", k, v.Since)
		require.Len(t, slices.Compact(slices.Clone(v.Since)), len(v.Since), "%v has two rows of one version", k)
		if v.Op != "" {
			_, ok := ops.Lookup(v.Op)
			require.True(t, ok, "%v is read as %s, which is no operator", k, v.Op)
		}
	}
	for k, want := range map[opKey]Version{
		{"", "Attention"}:                   {Since: []int{23}, Op: "Attention"},
		{"", "BatchNormalization"}:          {Since: []int{1, 9, 14}, Op: "BatchNormalization"},
		{"", "Scan"}:                        {Since: []int{8, 9}, Op: "Scan"},
		{mlDomain, "LabelEncoder"}:          {Since: []int{1, 2}, Op: "LabelEncoder"},
		{trainingDomain, "Gradient"}:        {Since: []int{1}},
		{previewDomain, "FlexAttention"}:    {Since: []int{1}, Op: "FlexAttention"},
		{mlDomain, "TreeEnsembleRegressor"}: {Since: []int{1}, Op: "TreeEnsembleRegressor"},
	} {
		want.Domain, want.Name = k.domain, k.name
		require.Contains(t, Versions(), want)
	}
}
