package hdf5

import "sync"

// Object header message types.
const (
	msgNil          = 0x00
	msgDataspace    = 0x01
	msgLinkInfo     = 0x02
	msgDatatype     = 0x03
	msgFillOld      = 0x04
	msgFill         = 0x05
	msgLink         = 0x06
	msgExternal     = 0x07
	msgLayout       = 0x08
	msgFilters      = 0x0b
	msgAttribute    = 0x0c
	msgComment      = 0x0d
	msgSharedTable  = 0x0f
	msgContinuation = 0x10
	msgSymbolTable  = 0x11
	msgBTreeK       = 0x13
	msgDriverInfo   = 0x14
	msgAttrInfo     = 0x15
	lastKnownMsg    = 0x18
)

// Message flags.
const (
	flagShared      = 0x02
	flagFailUnknown = 0x80
)

type message struct {
	kind  int
	flags int
	order int // creation order, 0 when not tracked
	at    int64
	data  []byte
}

// header is a decoded object header: the list of an object's messages.
type header struct {
	addr     uint64
	version  int
	attrsOrd bool // attribute creation order is tracked
	messages []message

	once    sync.Once // guards attrs and attrErr
	attrs   []*Attr
	attrErr error
}

// find returns the first message of a kind, or nil.
func (h *header) find(kind int) *message {
	for i := range h.messages {
		if h.messages[i].kind == kind {
			return &h.messages[i]
		}
	}
	return nil
}

type span struct{ addr, size uint64 }

// header reads the object header at addr with all its continuations.
func (f *File) header(addr uint64) (*header, error) {
	m := f.meter()
	c, err := f.block(addr, 4, m, "object header")
	if err != nil {
		return nil, err
	}
	h := &header{addr: addr}
	if string(c.b) == "OHDR" {
		h.version = 2
		err = f.headerV2(h, m)
	} else {
		h.version = 1
		err = f.headerV1(h, m)
	}
	if err != nil {
		return nil, err
	}
	return h, nil
}

func (f *File) headerV1(h *header, m *meter) error {
	c, err := f.block(h.addr, 12, m, "object header")
	if err != nil {
		return err
	}
	if v := c.u8(); v != 1 {
		return formatErr(c.at, "object header: version %d", v)
	}
	c.skip(1)
	count := c.u16()
	c.skip(4) // reference count
	size := c.u32()
	if c.err != nil {
		return c.err
	}
	next := []span{{h.addr + 16, uint64(size)}}
	for len(next) > 0 && count > 0 {
		c, err := f.block(next[0].addr, next[0].size, m, "object header")
		if err != nil {
			return err
		}
		next = next[1:]
		for ; count > 0 && c.left() >= 8; count-- {
			kind, size := c.u16(), c.u16()
			msg := message{kind: kind, flags: c.u8()}
			c.skip(3)
			msg.at = c.at + int64(c.pos)
			msg.data = c.bytes(size)
			if next, err = f.addMessage(h, msg, c, next); err != nil {
				return err
			}
		}
	}
	return nil
}

// addMessage appends msg to h, or a continuation block to next.
func (f *File) addMessage(h *header, msg message, c *cursor, next []span) ([]span, error) {
	if c.err != nil {
		return nil, c.err
	}
	switch {
	case msg.kind == msgNil:
	case msg.kind == msgContinuation:
		cc := f.cursor(msg.data, msg.at, "object header continuation")
		next = append(next, span{cc.offset(), cc.length()})
		return next, cc.err
	case msg.kind > lastKnownMsg:
		if msg.flags&flagFailUnknown != 0 {
			return nil, unsupported("object header message 0x%x", msg.kind)
		}
	default:
		h.messages = append(h.messages, msg)
	}
	return next, nil
}

func (f *File) headerV2(h *header, m *meter) error {
	// The prefix takes at most 34 bytes, but may be shorter at the file's end.
	at, err := f.check(h.addr, 0, "object header")
	if err != nil {
		return err
	}
	n := uint64(min(f.size-at, 34))
	c, err := f.block(h.addr, n, m, "object header")
	if err != nil {
		return err
	}
	c.signature("OHDR")
	c.version(2)
	flags := c.u8()
	if flags&0x20 != 0 {
		c.skip(16) // times
	}
	if flags&0x10 != 0 {
		c.skip(4) // attribute storage phase change
	}
	size := c.uint(1 << (flags & 3))
	if c.err != nil {
		return c.err
	}
	h.attrsOrd = flags&0x04 != 0
	prefix := uint64(c.pos)
	if size > uint64(f.size) {
		return formatErr(at, "object header: %d bytes of messages in a file of %d", size, f.size)
	}
	c, err = f.block(h.addr, prefix+size+4, m, "object header")
	if err != nil {
		return err
	}
	c.skip(int(prefix))
	next, err := f.messagesV2(h, c, flags, nil)
	for err == nil && len(next) > 0 {
		s := next[0]
		next = next[1:]
		if c, err = f.block(s.addr, s.size, m, "object header continuation"); err != nil {
			return err
		}
		c.signature("OCHK")
		next, err = f.messagesV2(h, c, flags, next)
	}
	return err
}

// messagesV2 reads messages from c.pos up to the checksum that ends the block.
func (f *File) messagesV2(h *header, c *cursor, flags int, next []span) ([]span, error) {
	if c.err != nil {
		return nil, c.err
	}
	start := c.pos
	if c.left() < 4 {
		c.failf("%d bytes, too few for a checksum", len(c.b))
		return nil, c.err
	}
	c.pos = len(c.b) - 4
	c.checksum()
	c.pos = start
	c.b = c.b[:len(c.b)-4]
	minSize := 4
	if flags&0x04 != 0 {
		minSize = 6
	}
	for c.err == nil && c.left() >= minSize {
		msg := message{kind: c.u8()}
		size := c.u16()
		msg.flags = c.u8()
		if flags&0x04 != 0 {
			msg.order = c.u16()
		}
		msg.at = c.at + int64(c.pos)
		msg.data = c.bytes(size)
		var err error
		if next, err = f.addMessage(h, msg, c, next); err != nil {
			return nil, err
		}
	}
	return next, c.err
}
