package qr

import (
	"strconv"

	"dicom-qr-gateway/dicomnet/dataset"
)

// WarningCode is stable and machine-readable.
type WarningCode string

// The warnings.
const (
	WarningOtherPatientDropped     WarningCode = "other_patient_dropped"
	WarningNoStudyUIDDropped       WarningCode = "no_study_instance_uid_dropped"
	WarningOptionalKeysUnsupported WarningCode = "optional_keys_unsupported"
	WarningCharacterSetAssumed     WarningCode = "character_set_assumed"
	WarningCharacterSetUnknown     WarningCode = "character_set_unknown"
	WarningTextUndecodable         WarningCode = "text_undecodable"
	WarningValueMalformed          WarningCode = "value_malformed"
	WarningMatchUndecodable        WarningCode = "match_undecodable"
	WarningDuplicatesMerged        WarningCode = "duplicates_merged"
	WarningModalitiesUnknown       WarningCode = "modalities_unknown"
	WarningUndatedDropped          WarningCode = "undated_dropped"
	WarningAccessionNumberUnknown  WarningCode = "accession_number_unknown"
	WarningTransferSyntaxAssumed   WarningCode = "transfer_syntax_assumed"
)

// Warning is what a careful reader should know of an answer; Message holds no patient data.
type Warning struct {
	Code    WarningCode
	Message string
}

// fact is one thing to warn of; several may share a code.
type fact int

// The facts, in the order in which they are reported.
const (
	otherPatient fact = iota
	withoutPatientID
	sharedStudyUID
	withoutStudyUID
	undecodable
	duplicate
	withoutAccession
	undated
	modalitiesUnknown
	optionalKeys
	syntaxAssumed
	charsetAssumed
	charsetUnknown
	textUndecodable
	valueMalformed
	failedUIDMalformed
	facts // their number
)

// wording is a fact's code and its message for one and for more, to follow the count.
type wording struct {
	code      WarningCode
	one, many string
}

func (f fact) wording() wording {
	return [facts]wording{
		otherPatient: {
			WarningOtherPatientDropped,
			" match of another patient was dropped", " matches of other patients were dropped",
		},
		withoutPatientID: {
			WarningOtherPatientDropped,
			" match without a Patient ID to check was dropped", " matches without a Patient ID to check were dropped",
		},
		sharedStudyUID: {
			WarningOtherPatientDropped,
			" study was dropped because its Study Instance UID is another patient's, too",
			" studies were dropped because their Study Instance UIDs are other patients', too",
		},
		withoutStudyUID: {
			WarningNoStudyUIDDropped,
			" match without a valid Study Instance UID was dropped",
			" matches without a valid Study Instance UID were dropped",
		},
		undecodable: {
			WarningMatchUndecodable,
			" match could not be decoded; a study may be missing",
			" matches could not be decoded; studies may be missing",
		},
		duplicate: {
			WarningDuplicatesMerged,
			" match of a study already seen was merged", " matches of studies already seen were merged",
		},
		withoutAccession: {
			WarningAccessionNumberUnknown,
			" study was dropped because the PACS does not tell its Accession Number",
			" studies were dropped because the PACS does not tell their Accession Numbers",
		},
		undated: {
			WarningUndatedDropped,
			" study without a readable date was dropped", " studies without a readable date were dropped",
		},
		modalitiesUnknown: {
			WarningModalitiesUnknown,
			" study was dropped because the PACS does not tell its modalities",
			" studies were dropped because the PACS does not tell their modalities",
		},
		optionalKeys: {
			WarningOptionalKeysUnsupported,
			" match came with the remark that optional keys are not supported",
			" matches came with the remark that optional keys are not supported",
		},
		syntaxAssumed: {
			WarningTransferSyntaxAssumed,
			" match was evidently in another transfer syntax than the negotiated one and was read so",
			" matches were evidently in another transfer syntax than the negotiated one and were read so",
		},
		charsetAssumed: {
			WarningCharacterSetAssumed,
			" match has text without a character set; one was assumed",
			" matches have text without a character set; one was assumed",
		},
		charsetUnknown: {
			WarningCharacterSetUnknown,
			" match names an unknown character set", " matches name an unknown character set",
		},
		textUndecodable: {
			WarningTextUndecodable,
			" match has characters that its character set does not have",
			" matches have characters that their character sets do not have",
		},
		valueMalformed: {
			WarningValueMalformed,
			" match has a malformed value", " matches have malformed values",
		},
		failedUIDMalformed: {
			WarningValueMalformed,
			" malformed Failed SOP Instance UID was left out", " malformed Failed SOP Instance UIDs were left out",
		},
	}[f]
}

// tally counts facts: however many matches there are, a warning is told once.
type tally [facts]int

func (t *tally) text(w dataset.Warning) {
	for _, flag := range [...]struct {
		bit dataset.Warning
		is  fact
	}{
		{dataset.CharacterSetAssumed, charsetAssumed},
		{dataset.CharacterSetUnknown, charsetUnknown},
		{dataset.TextUndecodable, textUndecodable},
		{dataset.ValueMalformed, valueMalformed},
		{dataset.TransferSyntaxAssumed, syntaxAssumed},
	} {
		if w&flag.bit != 0 {
			t[flag.is]++
		}
	}
}

func (t *tally) warnings() []Warning {
	list := []Warning{}
	for f, n := range t {
		if n == 0 {
			continue
		}
		say := fact(f).wording()
		text := say.many
		if n == 1 {
			text = say.one
		}
		list = append(list, Warning{Code: say.code, Message: strconv.Itoa(n) + text})
	}
	return list
}
