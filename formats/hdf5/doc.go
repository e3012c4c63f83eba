// Package hdf5 reads and writes HDF5 files in plain Go.
//
// Open, OpenBytes and OpenFile read a file's superblock and root group; all
// else is read when it is asked for. A File holds Groups, which hold links to
// Groups, Datasets and NamedTypes; each of these may carry attributes:
//
//	f, err := hdf5.OpenFile("model.h5", hdf5.Options{})
//	d, err := f.Root().OpenDataset("dense/kernel:0")
//	w, err := d.ReadFloat32s()
//
// Values come as typed slices (ReadFloat32s, ReadInt64s, ReadStrings), as Go
// values of any type (Value), or as the bytes in the file (ReadRaw,
// ReadRawInto and, without copying, Raw).
//
// # What is read
//
// Superblocks 0 to 3 behind user blocks of any size; symbol tables, link
// messages and dense links; compact and dense attributes of any size, shared
// messages and committed types; compact, contiguous and chunked storage with
// every chunk index; the filters deflate, shuffle, fletcher32, lzf, n-bit and
// scale-offset; all datatype classes. Metadata checksums are verified. Soft
// links are followed. Refused, by an UnsupportedError that names them: external
// links, external files, virtual datasets, szip and other filters, split
// files, and the references of HDF5 1.12.
//
// # What is written
//
// A Writer makes files as libhdf5, h5py and Keras do by default: superblock 0,
// symbol tables, version 1 object headers, contiguous or chunked datasets with
// shuffle, deflate and fletcher32, strings fixed or in a global heap. It writes
// from the first byte to the last, so any io.Writer will do, and aliases the
// values it is given.
//
// List and Dump print a file as h5ls and h5dump do.
//
// # Files nobody vouches for
//
// A file can make no call panic, loop without end, or allocate more than
// Options allows: structures are checked against the file's size before they
// are read, overlapping or cyclic ones are refused, and so are datasets that
// declare far more than is stored for them. Broken files give a FormatError
// with an offset, excessive ones a LimitError.
package hdf5
