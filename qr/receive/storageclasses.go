package receive

import (
	"slices"
	"strings"

	"dicom-qr-gateway/dicomnet/dataset"
)

// content is what pixel data the instances of a storage SOP class have. It decides which transfer syntaxes are worth proposing.
type content byte

const (
	noPixels content = iota
	image
	clip // images, and videos of several vendors
	video
)

// storageClass is a storage SOP class (PS3.4 section B.5).
type storageClass struct {
	uid        string
	modalities string // values of Modality in whose series it is common, separated by spaces
	content    content
}

// storageClasses are in the order in which they are proposed if the SOP classes of a study are not known: common ones first. UIDs
// that begin with a period are below 1.2.840.10008.5.1.4.1.1.
var storageClasses = withRoot([]storageClass{
	{".2", "CT", image},
	{".4", "MR", image},
	{".7", "OT SC XC CT MR US DX CR MG PT NM XA RF ES DOC", image},
	{".6.1", "US IVUS", image},
	{".3.1", "US IVUS", clip},
	{".1", "CR", image},
	{".1.1", "DX PX", image},
	{".1.2", "MG", image},
	{".128", "PT", image},
	{".20", "NM", image},
	{".12.1", "XA", image},
	{".12.2", "RF", image},
	{".2.1", "CT", image},
	{".4.1", "MR", image},
	{".13.1.3", "MG", image},
	{".66.4", "SEG", image},
	{".11.1", "PR", noPixels},
	{".88.59", "KO", noPixels},
	{".88.67", "SR", noPixels},
	{".88.33", "SR", noPixels},
	{".88.22", "SR", noPixels},
	{".88.11", "SR", noPixels},
	{".88.34", "SR", noPixels},
	{".104.1", "DOC OT", noPixels},
	{".481.3", "RTSTRUCT", noPixels},
	{".481.5", "RTPLAN", noPixels},
	{".481.2", "RTDOSE", image},
	{".481.1", "RTIMAGE", image},
	{".66.1", "REG", noPixels},
	{".66", "OT CT MR", noPixels},
	{".7.4", "OT US SC ES", clip},
	{".7.2", "OT SC", image},
	{".7.3", "OT SC", image},
	{".7.1", "OT SC", image},
	{".77.1.4", "XC", image},
	{".77.1.1", "ES", image},
	{".77.1.1.1", "ES", video},
	{".77.1.4.1", "XC", video},
	{".77.1.6", "SM", image},
	{".77.1.5.1", "OP", image},
	{".77.1.5.2", "OP", image},
	{".77.1.5.4", "OPT", image},
	{".77.1.2", "GM", image},
	{".77.1.2.1", "GM", video},
	{".77.1.3", "SM", image},
	{".77.1.7", "XC", image},
	{".9.1.1", "ECG", noPixels},
	{".9.1.2", "ECG", noPixels},
	{".9.2.1", "HD", noPixels},
	{".1.1.1", "DX", image},
	{".1.2.1", "MG", image},
	{".1.3", "IO", image},
	{".1.3.1", "IO", image},
	{".12.1.1", "XA", image},
	{".12.2.1", "RF", image},
	{".13.1.1", "XA", image},
	{".13.1.2", "CT", image},
	{".13.1.4", "MG", image},
	{".13.1.5", "MG", image},
	{".130", "PT", image},
	{".2.2", "CT", image},
	{".4.4", "MR", image},
	{".128.1", "PT", image},
	{".4.3", "MR", image},
	{".4.2", "MR", noPixels},
	{".6.2", "US", image},
	{".30", "RWV OT MR", image},
	{".67", "RWV", noPixels},
	{".66.2", "FID", noPixels},
	{".66.3", "REG", noPixels},
	{".66.5", "SEG", noPixels},
	{".66.6", "MR", noPixels},
	{".66.7", "SEG", image},
	{".11.2", "PR", noPixels},
	{".11.3", "PR", noPixels},
	{".11.4", "PR", noPixels},
	{".11.5", "PR", noPixels},
	{".11.8", "PR", noPixels},
	{".88.50", "SR", noPixels},
	{".88.65", "SR", noPixels},
	{".88.35", "SR", noPixels},
	{".88.40", "SR", noPixels},
	{".88.68", "SR", noPixels},
	{".88.69", "SR", noPixels},
	{".88.71", "SR", noPixels},
	{".88.72", "SR", noPixels},
	{".88.73", "SR", noPixels},
	{".88.76", "SR", noPixels},
	{".481.4", "RTRECORD", noPixels},
	{".481.7", "RTRECORD", noPixels},
	{".481.8", "RTPLAN", noPixels},
	{".481.9", "RTRECORD", noPixels},
	{".481.6", "RTRECORD", noPixels},
	{".104.2", "DOC OT", noPixels},
	{".104.3", "M3D", noPixels},
	{".104.4", "M3D", noPixels},
	{".104.5", "M3D", noPixels},
	{"1.3.12.2.1107.5.9.1", "MR CT PT OT", noPixels}, // Siemens CSA Non-Image
	{".14.1", "IVOCT", image},
	{".14.2", "IVOCT", image},
	{".77.1.5.3", "OP", noPixels},
	{".77.1.5.5", "OP", image},
	{".77.1.5.6", "OP", image},
	{".77.1.5.7", "OPT", image},
	{".77.1.5.8", "OPT", image},
	{".78.1", "LEN", noPixels},
	{".78.2", "AR", noPixels},
	{".78.3", "KER", noPixels},
	{".78.4", "SRF", noPixels},
	{".78.5", "VA", noPixels},
	{".78.7", "OAM", noPixels},
	{".78.8", "IOL", noPixels},
	{".80.1", "OPV", noPixels},
	{".81.1", "OPM", image},
	{".82.1", "OPM", image},
	{".9.1.3", "ECG", noPixels},
	{".9.3.1", "EPS", noPixels},
	{".9.4.1", "AU", noPixels},
	{".9.4.2", "AU", noPixels},
	{".9.5.1", "HD", noPixels},
	{".9.6.1", "RESP", noPixels},
	{".9.1.4", "ECG", noPixels},
	{".9.6.2", "RESP", noPixels},
	{".9.7.1", "EEG", noPixels},
	{".9.7.2", "EMG", noPixels},
	{".9.7.3", "EOG", noPixels},
	{".9.7.4", "EEG", noPixels},
	{".9.8.1", "POS", noPixels},
	{".88.70", "SR", noPixels},
	{".88.74", "SR", noPixels},
	{".88.75", "SR", noPixels},
	{".88.77", "SR", noPixels},
	{".90.1", "ASMT", noPixels},
	{".91.1", "ANN", noPixels},
	{".68.1", "M3D", noPixels},
	{".68.2", "M3D", noPixels},
	{".77.1.8", "CFM", image},
	{".77.1.9", "CFM", image},
	{".6.3", "PA", image},
	{".66.8", "OPM", image},
	{".11.6", "PR", noPixels},
	{".11.7", "PR", noPixels},
	{".11.9", "PR", noPixels},
	{".11.10", "PR", noPixels},
	{".11.11", "PR", noPixels},
	{".11.12", "PR", noPixels},
	{".78.6", "VA", noPixels},
	{".79.1", "OPM", noPixels},
	{".131", "OT", noPixels},
	{".481.10", "RTINTENT", noPixels},
	{".481.11", "RTSEGANN", noPixels},
	{".481.12", "RTRAD", noPixels},
	{".481.13", "RTRAD", noPixels},
	{".481.14", "RTRAD", noPixels},
	{".481.15", "RTRAD", noPixels},
	{".481.16", "RTRECORD", noPixels},
	{".481.17", "RTRECORD", noPixels},
	{".481.18", "RTRECORD", noPixels},
	{".481.19", "RTRECORD", noPixels},
	{".481.20", "RTRECORD", noPixels},
	{".481.21", "RTRAD", noPixels},
	{".481.22", "RTRAD", noPixels},
	{".481.23", "RTIMAGE", image},
	{".481.24", "RTIMAGE", video},
	{".481.25", "RTRAD", noPixels},
	{"1.2.840.10008.5.1.4.34.7", "PLAN", noPixels},  // RT Beams Delivery Instruction
	{"1.2.840.10008.5.1.4.34.10", "PLAN", noPixels}, // RT Brachy Application Setup Delivery Instruction
	// Retired, in old archives.
	{".6", "US", image},
	{".3", "US", image},
	{".5", "NM", image},
	{".12.3", "XA", image},
	{".77.1", "XC", image},
	{".77.2", "XC", image},
	{".8", "OT", noPixels},
	{".9", "OT", noPixels},
	{".10", "OT", noPixels},
	{".11", "OT", noPixels},
	{".129", "PT", noPixels},
})

func withRoot(classes []storageClass) []storageClass {
	for i := range classes {
		if strings.HasPrefix(classes[i].uid, ".") {
			classes[i].uid = "1.2.840.10008.5.1.4.1.1" + classes[i].uid
		}
	}
	return classes
}

var storageClassByUID = func() map[string]*storageClass {
	byUID := make(map[string]*storageClass, len(storageClasses))
	for i := range storageClasses {
		byUID[storageClasses[i].uid] = &storageClasses[i]
	}
	return byUID
}()

// classesOf returns the SOP classes that are common in series of a modality; none if it is not known.
func classesOf(modality string) []string {
	var uids []string
	for i := range storageClasses {
		for m := range strings.FieldsSeq(storageClasses[i].modalities) {
			if m == modality {
				uids = append(uids, storageClasses[i].uid)
			}
		}
	}
	return uids
}

// Transfer syntaxes of PS3.6 annex A, in the order in which they are proposed. Explicit VR Little Endian is first: some PACS convert to
// the first that is accepted for a SOP class.
var (
	uncompressed = []dataset.TransferSyntax{dataset.ExplicitVRLittleEndian, dataset.ImplicitVRLittleEndian}
	// convertible are the compressed transfer syntaxes that package transcode converts.
	convertible = []dataset.TransferSyntax{dataset.JPEGBaseline, dataset.RLELossless}
	compressed  = []dataset.TransferSyntax{
		"1.2.840.10008.1.2.4.70",  // JPEG Lossless, first-order prediction
		dataset.JPEGBaseline,      // 1.2.840.10008.1.2.4.50
		"1.2.840.10008.1.2.4.90",  // JPEG 2000 Lossless
		"1.2.840.10008.1.2.4.91",  // JPEG 2000
		"1.2.840.10008.1.2.4.80",  // JPEG-LS Lossless
		dataset.RLELossless,       // 1.2.840.10008.1.2.5
		"1.2.840.10008.1.2.4.57",  // JPEG Lossless
		"1.2.840.10008.1.2.4.51",  // JPEG Extended
		"1.2.840.10008.1.2.4.81",  // JPEG-LS Near-Lossless
		"1.2.840.10008.1.2.4.201", // High-Throughput JPEG 2000 Lossless
		"1.2.840.10008.1.2.4.202", // High-Throughput JPEG 2000 Lossless, RPCL
		"1.2.840.10008.1.2.4.203", // High-Throughput JPEG 2000
		"1.2.840.10008.1.2.4.92",  // JPEG 2000 Part 2 Lossless
		"1.2.840.10008.1.2.4.93",  // JPEG 2000 Part 2
		"1.2.840.10008.1.2.4.110", // JPEG XL Lossless
		"1.2.840.10008.1.2.4.111", // JPEG XL JPEG Recompression
		"1.2.840.10008.1.2.4.112", // JPEG XL
	}
	// common are the compressed transfer syntaxes, videos among them, that PACS usually hold.
	common = slices.Concat(compressed[:9], moving[:3])
	// obsolete are proposed last, and only for what did not come before: a PACS may convert everything to them.
	obsolete = []dataset.TransferSyntax{dataset.DeflatedExplicitVRLittleEndian, dataset.ExplicitVRBigEndian}
	moving   = []dataset.TransferSyntax{
		"1.2.840.10008.1.2.4.102",   // MPEG-4 AVC/H.264 High Profile
		"1.2.840.10008.1.2.4.103",   // MPEG-4 AVC/H.264 BD-compatible
		"1.2.840.10008.1.2.4.100",   // MPEG-2 Main Profile, Main Level
		"1.2.840.10008.1.2.4.101",   // MPEG-2 Main Profile, High Level
		"1.2.840.10008.1.2.4.104",   // MPEG-4 AVC/H.264 for 2D video
		"1.2.840.10008.1.2.4.105",   // MPEG-4 AVC/H.264 for 3D video
		"1.2.840.10008.1.2.4.106",   // MPEG-4 AVC/H.264 Stereo
		"1.2.840.10008.1.2.4.107",   // HEVC/H.265 Main Profile
		"1.2.840.10008.1.2.4.108",   // HEVC/H.265 Main 10 Profile
		"1.2.840.10008.1.2.4.100.1", // Fragmentable MPEG-2 Main Profile, Main Level
		"1.2.840.10008.1.2.4.102.1", // Fragmentable MPEG-4 AVC/H.264 High Profile
		"1.2.840.10008.1.2.4.103.1", // Fragmentable MPEG-4 AVC/H.264 BD-compatible
	}
)
