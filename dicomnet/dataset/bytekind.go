package dataset

// byteKind is a bit set of the properties of a byte that matter for decoding text. One pass over a
// value collects the kinds of all its bytes, which is all that the decoder needs.
type byteKind uint16

const (
	unprintable byteKind = 1 << iota // not printable ASCII
	tilde                            // an overline in JIS X 0201
	backslash                        // a yen sign in JIS X 0201, and the separator of values

	// firstFreeKind is the first of the kinds that allBytesExcept allocates.
	firstFreeKind
)

// byteKinds holds the kinds of each byte.
var byteKinds = func() (k [256]byteKind) {
	for c := range k {
		if c < 0x20 || c > 0x7e {
			k[c] = unprintable
		}
	}
	k['~'], k['\\'] = tilde, backslash
	return k
}()

// lastKind is the kind that allBytesExcept allocated last.
var lastKind = firstFreeKind >> 1

// allBytesExcept allocates a kind and gives it to all bytes that are not in allowed.
func allBytesExcept(allowed string) byteKind {
	lastKind <<= 1
	for c := range byteKinds {
		byteKinds[c] |= lastKind
	}
	for i := range len(allowed) {
		byteKinds[allowed[i]] &^= lastKind
	}
	return lastKind
}

// kindsIn returns the kinds of all bytes of text together.
func kindsIn[T string | []byte](text T) byteKind {
	kinds := byteKind(0)
	for i := range len(text) {
		kinds |= byteKinds[text[i]]
	}
	return kinds
}
