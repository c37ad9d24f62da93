package sealed

import "math/bits"

const (
	orders = 6 // minBlock << (orders-1) is MaxBlock
)

// orderOf returns the order of the smallest block that holds the bytes.
func orderOf(bytes int) uint8 {
	return uint8(bits.Len(uint((bytes - 1) / minBlock)))
}

// buddies gives out blocks of a file that grows without end: each is a page times a power of two, at a multiple of its size.
type buddies struct {
	free [orders]map[int64]struct{} // offsets of free blocks
	end  int64                      // of the file
}

// take returns the offset of a block, which is taken.
func (b *buddies) take(order uint8) int64 {
	for found := order; found < orders; found++ {
		for offset := range b.free[found] {
			delete(b.free[found], offset)
			b.split(offset, found, order)
			return offset
		}
	}
	offset := b.end
	b.end += MaxBlock
	b.split(offset, orders-1, order)
	return offset
}

// split frees what a block of one order has beyond its first part of another order.
func (b *buddies) split(offset int64, from, to uint8) {
	for from > to {
		from--
		b.put(offset+minBlock<<from, from)
	}
}

// give frees a block, and joins it with those beside it.
func (b *buddies) give(offset int64, order uint8) {
	for ; order < orders-1; order++ {
		buddy := offset ^ minBlock<<order
		if _, free := b.free[order][buddy]; !free {
			break
		}
		delete(b.free[order], buddy)
		offset &^= minBlock << order
	}
	b.put(offset, order)
}

func (b *buddies) put(offset int64, order uint8) {
	if b.free[order] == nil {
		b.free[order] = map[int64]struct{}{}
	}
	b.free[order][offset] = struct{}{}
}
