package tensor

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/nnrt/nnrt/internal/errs"
)

// ErrNpy is wrapped by errors about .npy and .npz data that are malformed, too large or hold what
// nnrt does not read.
var ErrNpy = errors.New("bad .npy data")

// NpyOptions bound and steer the reading of .npy and .npz; the zero value is the default.
type NpyOptions struct {
	// RawAs is the type that raw items ('V2', 'V1', '<f1': what numpy writes for ml_dtypes' bfloat16,
	// float8 and 4-bit types) are taken as; Invalid refuses them. Item sizes must agree.
	RawAs DType
	// MaxBytes is the most memory the data may take; default 4 GiB. An archive's members count together.
	MaxBytes int64
}

func (o NpyOptions) maxBytes() int64 {
	if o.MaxBytes > 0 {
		return o.MaxBytes
	}
	return 4 << 30
}

const (
	npyMagic     = "\x93NUMPY"
	npyMaxHeader = 1 << 20 // a header is about 100 bytes: more is no array of numbers
)

// npyHeader is a parsed header.
type npyHeader struct {
	dtype   DType
	kind    byte // 'U', 'S' for text, else 0
	item    int  // bytes an item takes in the file
	swap    bool // big-endian
	fortran bool
	shape   []int
	count   int // elements
}

// size is the bytes of data that follow the header.
func (h npyHeader) size() int64 { return int64(h.count) * int64(h.item) }

func npyErr(format string, args ...any) error {
	return errs.Errorf("tensor: %w: %s", ErrNpy, fmt.Sprintf(format, args...))
}

// ReadNpy reads one array in numpy's .npy format, version 1 to 3, of any byte and memory order. It reads
// no more than the array, apart from buffering by r itself, and allocates only as data arrives.
func ReadNpy(r io.Reader, o NpyOptions) (*Tensor, error) {
	h, err := readNpyHeader(r, o)
	if err != nil {
		return nil, err
	}
	data, err := readExactly(r, h.size())
	if err != nil {
		return nil, npyErr("%d of the %d bytes of %v%v: %v", len(data), h.size(), h.dtype, h.shape, err)
	}
	return h.tensor(data, nil)
}

// DecodeNpy is ReadNpy of a whole file in memory. Little-endian data in C order is not copied if it is
// aligned for its type, as numpy writes it: the tensor aliases b and holds keep.
func DecodeNpy(b []byte, keep any, o NpyOptions) (*Tensor, error) {
	r := bytes.NewReader(b)
	h, err := readNpyHeader(r, o)
	if err != nil {
		return nil, err
	}
	b = b[len(b)-r.Len():]
	if int64(len(b)) != h.size() {
		return nil, npyErr("%v%v takes %d bytes, %d follow the header", h.dtype, h.shape, h.size(), len(b))
	}
	return h.tensor(b, keep)
}

// readExactly reads n bytes without trusting n: memory grows with what has arrived.
func readExactly(r io.Reader, n int64) ([]byte, error) {
	const first = 1 << 20
	buf := AlignedBytes(int(min(n, first)))
	for got := 0; ; {
		k, err := io.ReadFull(r, buf[got:])
		if got += k; err != nil {
			return buf[:got], io.ErrUnexpectedEOF
		}
		if int64(got) == n {
			return buf, nil
		}
		next := AlignedBytes(int(min(n, 4*int64(got))))
		copy(next, buf)
		buf = next
	}
}

func readNpyHeader(r io.Reader, o NpyOptions) (npyHeader, error) {
	var pre [12]byte
	if _, err := io.ReadFull(r, pre[:8]); err != nil || string(pre[:6]) != npyMagic {
		return npyHeader{}, npyErr("no %q at the start", npyMagic)
	}
	size := 0
	switch major := pre[6]; major {
	case 1:
		if _, err := io.ReadFull(r, pre[8:10]); err != nil {
			return npyHeader{}, npyErr("header is cut off")
		}
		size = int(binary.LittleEndian.Uint16(pre[8:]))
	case 2, 3:
		if _, err := io.ReadFull(r, pre[8:12]); err != nil {
			return npyHeader{}, npyErr("header is cut off")
		}
		if n := binary.LittleEndian.Uint32(pre[8:]); n > npyMaxHeader {
			return npyHeader{}, npyErr("header of %d bytes, limit %d", n, npyMaxHeader)
		} else {
			size = int(n)
		}
	default:
		return npyHeader{}, npyErr("version %d.%d; 1, 2 and 3 are known", major, pre[7])
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(r, text); err != nil {
		return npyHeader{}, npyErr("header of %d bytes is cut off", size)
	}
	return parseNpyHeader(string(text), o)
}

// parseNpyHeader reads the Python dict literal that is the header.
func parseNpyHeader(text string, o NpyOptions) (npyHeader, error) {
	var h npyHeader
	p := &pyDict{s: text}
	seen := 0
	err := p.parse(func(key string) error {
		switch key {
		case "descr":
			seen |= 1
			return h.setDescr(p, o)
		case "fortran_order":
			seen |= 2
			return p.boolean(&h.fortran)
		case "shape":
			seen |= 4
			return p.tuple(&h.shape)
		}
		return errs.Errorf("unknown key %q", key)
	})
	if err == nil && seen != 7 {
		err = errors.New("descr, fortran_order and shape must all be there")
	}
	if err == nil {
		h.count, err = NumElements(h.shape)
	}
	if err != nil {
		return h, npyErr("header: %v", err)
	}
	if h.item == 0 && h.count > 0 {
		return h, npyErr("%v items of 0 bytes", h.shape)
	}
	hi, n := bits.Mul64(uint64(h.count), uint64(max(h.item, h.dtype.Size())+16*int(truth(h.kind != 0))))
	if hi != 0 || n > uint64(o.maxBytes()) {
		return h, npyErr("%v%v exceeds the limit of %d bytes", h.dtype, h.shape, o.maxBytes())
	}
	return h, nil
}

// npyTypes are the descr codes of fixed-size items.
var npyTypes = map[string]DType{
	"f2": Float16, "f4": Float32, "f8": Float64, "c8": Complex64, "c16": Complex128, "b1": Bool,
	"i1": Int8, "i2": Int16, "i4": Int32, "i8": Int64, "u1": Uint8, "u2": Uint16, "u4": Uint32, "u8": Uint64,
}

// setDescr reads the value of 'descr'.
func (h *npyHeader) setDescr(p *pyDict, o NpyOptions) error {
	d, err := p.str()
	if err != nil {
		return errs.Errorf("descr: %w (records are not read)", err)
	}
	code := d
	if d != "" && strings.IndexByte("<>=|", d[0]) >= 0 {
		code = d[1:]
		h.swap = d[0] == '>'
	}
	if dt, ok := npyTypes[code]; ok {
		h.dtype, h.item = dt, dt.Size()
		return nil
	}
	if code == "" {
		return errs.Errorf("descr %q", d)
	}
	n, err := strconv.Atoi(code[1:])
	if err != nil || n < 0 || n > 1<<30 || code[1] == '+' {
		return errs.Errorf("descr %q is not read", d)
	}
	switch code[0] {
	case 'U':
		h.dtype, h.kind, h.item = String, 'U', 4*n
	case 'S', 'a':
		h.dtype, h.kind, h.item = String, 'S', n
	case 'V', 'f':
		if o.RawAs == Invalid {
			return errs.Errorf("descr %q: raw items of %d bytes, and no type was named to take them as", d, n)
		}
		if o.RawAs.Size() != n || n == 0 {
			return errs.Errorf("descr %q: raw items of %d bytes can't be %v", d, n, o.RawAs)
		}
		h.dtype, h.item = o.RawAs, n
	default:
		return errs.Errorf("descr %q is not read", d)
	}
	return nil
}

// tensor makes the tensor from the data after the header, which has the right length.
func (h npyHeader) tensor(data []byte, keep any) (*Tensor, error) {
	if h.kind != 0 {
		return h.stringTensor(data)
	}
	size := h.item
	if h.dtype.IsComplex() {
		size /= 2
	}
	if h.swap && size > 1 {
		c := AlignedBytes(len(data))
		for i := 0; i < len(data); i += size {
			for j := range size {
				c[i+j] = data[i+size-1-j]
			}
		}
		data, keep = c, nil
	}
	if h.fortran && len(h.shape) > 1 {
		c := AlignedBytes(len(data))
		fromFortran(h.shape, func(dst, src int) { copy(c[dst*h.item:][:h.item], data[src*h.item:]) })
		data, keep = c, nil
	}
	if err := checkCodes(h.dtype, data); err != nil {
		return nil, err
	}
	return FromBytes(h.dtype, h.shape, data, keep)
}

// checkCodes holds types whose byte can say too much to what it may say: Go's bool is 0 or 1, a 4-bit
// type's byte is its code or sign-extended value.
func checkCodes(dt DType, data []byte) error {
	var ok func(byte) bool
	switch dt {
	case Bool:
		ok = func(b byte) bool { return b <= 1 }
	case Int4, Uint4, Int2, Uint2, Float4E2M1:
		ok = func(b byte) bool { return narrowCode(b, dt) == b }
	default:
		return nil
	}
	for i, b := range data {
		if !ok(b) {
			return npyErr("element %d: byte %#x is no %v", i, b, dt)
		}
	}
	return nil
}

// fromFortran calls move with every element's position in C order and in Fortran order.
func fromFortran(shape []int, move func(c, f int)) {
	strides := make([]int, len(shape)) // Fortran element strides
	n := 1
	for i, d := range shape {
		strides[i] = n
		n *= d
	}
	idx := make([]int, len(shape))
	f := 0
	for c := range n {
		move(c, f)
		for i := len(shape) - 1; i >= 0; i-- {
			f += strides[i]
			if idx[i]++; idx[i] < shape[i] {
				break
			}
			f -= strides[i] * shape[i]
			idx[i] = 0
		}
	}
}

func (h npyHeader) stringTensor(data []byte) (*Tensor, error) {
	out := make([]string, h.count)
	order := binary.ByteOrder(binary.LittleEndian)
	if h.swap {
		order = binary.BigEndian
	}
	read := func(i int) (string, error) {
		b := data[i*h.item : (i+1)*h.item]
		if h.kind == 'S' {
			return string(bytes.TrimRight(b, "\x00")), nil
		}
		var sb strings.Builder
		end := len(b)
		for end > 0 && order.Uint32(b[end-4:]) == 0 {
			end -= 4
		}
		for ; len(b) > 0 && end > 0; b, end = b[4:], end-4 {
			r := order.Uint32(b)
			if r > utf8.MaxRune || !utf8.ValidRune(rune(r)) {
				return "", npyErr("element %d: %#x is no character", i, r)
			}
			sb.WriteRune(rune(r))
		}
		return sb.String(), nil
	}
	var err error
	set := func(c, f int) {
		s, e := read(f)
		out[c], err = s, errors.Join(err, e)
	}
	if h.fortran {
		fromFortran(h.shape, set)
	} else {
		for i := range out {
			set(i, i)
		}
	}
	if err != nil {
		return nil, err
	}
	return FromStrings(out, h.shape...)
}

// WriteNpy writes t in .npy format version 1.0, little-endian and in C order. Text is written as UCS-4
// ('<U'), the types numpy lacks as raw items ('|V1', '|V2'), one element each, as ml_dtypes does.
func WriteNpy(w io.Writer, t *Tensor) error {
	descr, width, err := npyDescr(t)
	if err != nil {
		return err
	}
	dims := make([]string, len(t.shape))
	for i, d := range t.shape {
		dims[i] = strconv.Itoa(d)
	}
	shape := strings.Join(dims, ", ")
	if len(dims) == 1 {
		shape += ","
	}
	head := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape)
	pad := Align - (10+len(head)+1)%Align
	head += strings.Repeat(" ", pad%Align) + "\n"
	b := append([]byte(npyMagic), 1, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(head)))
	if _, err := w.Write(append(b, head...)); err != nil {
		return err
	}
	if t.dtype != String {
		_, err := w.Write(t.data)
		return err
	}
	bw := bufio.NewWriter(w)
	var item []byte
	for _, s := range t.strs {
		item = item[:0]
		for _, r := range s {
			item = binary.LittleEndian.AppendUint32(item, uint32(r))
		}
		item = append(item, make([]byte, width-len(item))...)
		if _, err := bw.Write(item); err != nil {
			return err
		}
	}
	return bw.Flush()
}

// npyDescr is t's type as .npy spells it, and for text the bytes an item takes.
func npyDescr(t *Tensor) (descr string, width int, err error) {
	if t.dtype == String {
		chars := 1
		for i, s := range t.strs {
			if !utf8.ValidString(s) || strings.HasSuffix(s, "\x00") {
				return "", 0, errs.Errorf("tensor: element %d: %q can't be written to .npy", i, s)
			}
			chars = max(chars, utf8.RuneCountInString(s))
		}
		return fmt.Sprintf("<U%d", chars), 4 * chars, nil
	}
	for code, dt := range npyTypes {
		if dt == t.dtype {
			if dt.Size() == 1 {
				return "|" + code, 0, nil
			}
			return "<" + code, 0, nil
		}
	}
	if !t.dtype.Valid() {
		return "", 0, errs.Errorf("tensor: element type %v can't be written to .npy", t.dtype)
	}
	return fmt.Sprintf("|V%d", t.dtype.Size()), 0, nil
}

// pyDict reads the little of Python's literal syntax that .npy headers use.
type pyDict struct{ s string }

func (p *pyDict) space() { p.s = strings.TrimLeft(p.s, " \t\n\r\f") }

// take consumes tok, if it is next.
func (p *pyDict) take(tok string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.s, tok)
	if ok {
		p.s = rest
	}
	return ok
}

func (p *pyDict) near() string { return strconv.Quote(p.s[:min(len(p.s), 20)]) }

// parse calls value after each key; it must consume the value.
func (p *pyDict) parse(value func(key string) error) error {
	var keys []string
	if !p.take("{") {
		return errs.Errorf("no dict at %s", p.near())
	}
	for !p.take("}") {
		key, err := p.str()
		if err != nil {
			return err
		}
		if slices.Contains(keys, key) {
			return errs.Errorf("key %q twice", key)
		}
		keys = append(keys, key)
		if !p.take(":") {
			return errs.Errorf("no colon at %s", p.near())
		}
		if err := value(key); err != nil {
			return err
		}
		if !p.take(",") && !strings.HasPrefix(strings.TrimLeft(p.s, " \t\n\r\f"), "}") {
			return errs.Errorf("no comma at %s", p.near())
		}
	}
	if p.space(); p.s != "" {
		return errs.Errorf("%s after the dict", p.near())
	}
	return nil
}

func (p *pyDict) str() (string, error) {
	p.space()
	if p.s == "" || p.s[0] != '\'' && p.s[0] != '"' {
		return "", errs.Errorf("no string at %s", p.near())
	}
	end := strings.IndexByte(p.s[1:], p.s[0])
	if end < 0 || strings.ContainsRune(p.s[1:1+end], '\\') {
		return "", errs.Errorf("bad string at %s", p.near())
	}
	v := p.s[1 : 1+end]
	p.s = p.s[end+2:]
	return v, nil
}

func (p *pyDict) boolean(v *bool) error {
	if *v = p.take("True"); !*v && !p.take("False") {
		return errs.Errorf("neither True nor False at %s", p.near())
	}
	return nil
}

func (p *pyDict) tuple(v *[]int) error {
	*v = []int{}
	if !p.take("(") {
		return errs.Errorf("no tuple at %s", p.near())
	}
	for !p.take(")") {
		p.space()
		n := 0
		for n < len(p.s) && p.s[n] >= '0' && p.s[n] <= '9' {
			n++
		}
		d, err := strconv.Atoi(p.s[:n])
		if err != nil {
			return errs.Errorf("no dimension at %s", p.near())
		}
		if *v = append(*v, d); len(*v) > MaxRank {
			return errs.Errorf("more than %d dimensions", MaxRank)
		}
		p.s = strings.TrimPrefix(p.s[n:], "L") // Python 2's long
		if !p.take(",") {
			if !p.take(")") {
				return errs.Errorf("no comma at %s", p.near())
			}
			break
		}
	}
	return nil
}
