package onnx

import (
	"slices"
	"strings"

	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/graph"
)

// What a file says about its nodes and values beyond their meaning is kept in the graph's Meta, under keys of
// this prefix, by the name of the node or value, and written back where the name still is.
const (
	nodeDoc   = graph.NotePrefix + "doc.node:"
	valueDoc  = graph.NotePrefix + "doc.value:"
	nodeMeta  = graph.NotePrefix + "meta.node:"  // NAME noteSep KEY
	valueMeta = graph.NotePrefix + "meta.value:" // NAME noteSep KEY
	graphMeta = graph.NotePrefix + "meta.graph:" // KEY
	typeNote  = graph.NotePrefix + "denotation.value:"
	dimsNote  = graph.NotePrefix + "dims.value:" // denotations of the dimensions, with noteSep between
	infoNote  = graph.NotePrefix + "value_info"
	noteSep   = "\x1f"
)

func isNote(key string) bool { return strings.HasPrefix(key, graph.NotePrefix) }

// note keeps what a graph of a file says beside its meaning.
func note(g *graph.Graph, p *pb.GraphProto) {
	set := func(key, v string) {
		if v != "" {
			if g.Meta == nil {
				g.Meta = map[string]string{}
			}
			g.Meta[key] = v
		}
	}
	props := func(prefix string, list []*pb.StringStringEntryProto) {
		for _, e := range list {
			set(prefix+e.Key, e.Value)
		}
	}
	props(graphMeta, p.MetadataProps)
	for _, n := range p.Node {
		if n.DocString != "" || len(n.MetadataProps) > 0 {
			set(nodeDoc+nodeName(n), n.DocString)
			props(nodeMeta+nodeName(n)+noteSep, n.MetadataProps)
		}
	}
	for _, t := range p.Initializer {
		set(valueDoc+t.Name, t.DocString)
		props(valueMeta+t.Name+noteSep, t.MetadataProps)
	}
	if len(p.ValueInfo) > 0 {
		set(infoNote, "1")
	}
	for _, list := range [][]*pb.ValueInfoProto{p.Input, p.Output, p.ValueInfo} {
		for _, v := range list {
			set(valueDoc+v.Name, v.DocString)
			props(valueMeta+v.Name+noteSep, v.MetadataProps)
			noteType(v, set)
		}
	}
}

// noteType keeps what a value's type says of its use.
func noteType(v *pb.ValueInfoProto, set func(key, v string)) {
	if v.Type == nil {
		return
	}
	set(typeNote+v.Name, v.Type.Denotation)
	if v.Type.TensorType == nil || v.Type.TensorType.Shape == nil {
		return
	}
	var dims []string
	for _, d := range v.Type.TensorType.Shape.Dim {
		dims = append(dims, d.Denotation)
	}
	if slices.ContainsFunc(dims, func(s string) bool { return s != "" }) {
		set(dimsNote+v.Name, strings.Join(dims, noteSep))
	}
}

// notes is the notes of a graph that is written, by what they are about.
type notes struct {
	meta  map[string]string
	props map[string][]*pb.StringStringEntryProto // by prefix and name
	given map[string]bool                         // nodes that have theirs
}

func newNotes(g *graph.Graph) *notes {
	n := &notes{meta: g.Meta, props: map[string][]*pb.StringStringEntryProto{}, given: map[string]bool{}}
	var keys []string
	for k := range g.Meta {
		if isNote(k) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		e := &pb.StringStringEntryProto{Value: g.Meta[k]}
		of := graphMeta
		if key, ok := strings.CutPrefix(k, graphMeta); ok {
			e.Key = key
		} else if of, e.Key, ok = strings.Cut(k, noteSep); !ok || strings.HasPrefix(k, dimsNote) {
			continue
		}
		n.props[of] = append(n.props[of], e)
	}
	return n
}

// node writes what is noted of a node of that name, once: several nodes may stand for it.
func (n *notes) node(p *pb.NodeProto, name string) {
	if !n.given[name] {
		n.given[name] = true
		p.DocString, p.MetadataProps = n.meta[nodeDoc+name], n.props[nodeMeta+name]
	}
}

// value writes what is noted of an input, output or value in between.
func (n *notes) value(p *pb.ValueInfoProto, name string) {
	p.DocString, p.MetadataProps = n.meta[valueDoc+name], n.props[valueMeta+name]
	if p.Type == nil {
		return
	}
	p.Type.Denotation = n.meta[typeNote+name]
	dims := strings.Split(n.meta[dimsNote+name], noteSep)
	if t := p.Type.TensorType; t != nil && t.Shape != nil && len(dims) == len(t.Shape.Dim) {
		for i, d := range t.Shape.Dim {
			d.Denotation = dims[i]
		}
	}
}
