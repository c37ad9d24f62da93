package dataset

// kind is what a byte is, as far as text depends on it: a bit each. All that has to be known of a value is found in one walk
// over its bytes.
type kind uint16

const (
	unprintable kind = 1 << iota // no printable ASCII
	tilde                        // another character in JIS X 0201, and so is
	backslash                    // which also stands between values

	firstAlphabet
)

var kinds = func() (k [256]kind) {
	for c := range k {
		if c < 0x20 || c > 0x7e {
			k[c] = unprintable
		}
	}
	k['~'], k['\\'] = tilde, backslash
	return k
}()

var lastAlphabet = firstAlphabet >> 1

// beyond makes a kind of all bytes but the characters.
func beyond(characters string) kind {
	lastAlphabet <<= 1
	for c := range kinds {
		kinds[c] |= lastAlphabet
	}
	for i := range len(characters) {
		kinds[characters[i]] &^= lastAlphabet
	}
	return lastAlphabet
}

// kindsOf are those of all bytes together.
func kindsOf[T string | []byte](text T) kind {
	all := kind(0)
	for i := range len(text) {
		all |= kinds[text[i]]
	}
	return all
}
