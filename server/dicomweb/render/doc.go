// Package render makes pictures of frames: it applies the modality, the VOI and the palette transformations of an image (PS3.3 sections
// C.11.1, C.11.2 and C.7.6.3), scales and encodes the result (PS3.18 section 8.3.5).
//
// A picture has 8 bits per channel. It costs memory in proportion to the image, which is limited.
package render
