// Package pixeldata finds the frames of an image in a data set that streams, and decodes those that need no library: RLE Lossless and JPEG
// Baseline.
//
// [Open] reads a data set up to its pixel data, and [Source.Frames] yields frames of it while they arrive. A frame is exactly the one asked
// for: if the data set does not say for certain where its frames begin, that is an error.
//
// No error of this package contains a value of a data set.
package pixeldata
