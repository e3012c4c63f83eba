package formats

import "strings"

// foreign is how files begin that people take for models, or that stand in a model's place.
var foreign = [...]struct {
	at          int
	begin, what string
}{
	{0, "version https://git-lfs", "a Git LFS pointer: 'git lfs pull' puts the file itself in its place"},
	{0, "<!DOCTYPE", "a web page"},
	{0, "<html", "a web page"},
	{4, "TFL3", "a TensorFlow Lite model"},
	{0, "GGUF", "a GGUF file"},
	{8, `{"`, "a safetensors file"},
	{0, "\x80\x02", "a Python pickle"},
	{0, "\x80\x04", "a Python pickle"},
	{0, "\x1f\x8b", "compressed by gzip"},
	{0, "\x93NUMPY", "an array of numpy's"},
}

// Foreign says what a file of no known format is, by its first bytes; "" where that can't be told.
func Foreign(head []byte) string {
	if len(head) == 0 {
		return "empty"
	}
	for _, f := range foreign {
		if len(head) > f.at && strings.HasPrefix(string(head[f.at:]), f.begin) {
			return f.what
		}
	}
	return ""
}
