package dicomnet

// Model is a Query/Retrieve information model, given by the UIDs of its three SOP classes.
type Model struct{ Find, Move, Get string }

// Information models of PS3.4 annex C.
var (
	StudyRoot = Model{
		Find: "1.2.840.10008.5.1.4.1.2.2.1",
		Move: "1.2.840.10008.5.1.4.1.2.2.2",
		Get:  "1.2.840.10008.5.1.4.1.2.2.3",
	}
	PatientRoot = Model{
		Find: "1.2.840.10008.5.1.4.1.2.1.1",
		Move: "1.2.840.10008.5.1.4.1.2.1.2",
		Get:  "1.2.840.10008.5.1.4.1.2.1.3",
	}
)

// VerificationSOPClass is the UID of the SOP class of C-ECHO (PS3.4 annex A).
const VerificationSOPClass = "1.2.840.10008.1.1"
