package qr

import (
	"strconv"

	"dicom-qr-gateway/dicomnet/dataset"
)

// WarningCode identifies a kind of warning. The codes are stable.
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
	WarningPatientAmbiguous        WarningCode = "patient_identity_ambiguous"
	WarningDataSetMissing          WarningCode = "data_set_missing"
	WarningTextCut                 WarningCode = "text_cut"
	WarningFailedInstancesCut      WarningCode = "failed_instances_cut"
)

// The warnings that only a Search has.
const (
	WarningOtherEntityDropped WarningCode = "other_entity_dropped"
	WarningKeyUnchecked       WarningCode = "key_unchecked"
	WarningIncomplete         WarningCode = "search_incomplete"
)

// Warning is a reason to read an answer with care. Message is a sentence without patient data.
type Warning struct {
	Code    WarningCode
	Message string
}

// event is something to warn of; several may share a code.
type event int

// The events, in the order in which they are reported.
const (
	otherPatient event = iota
	withoutPatientID
	sharedStudyUID
	ambiguousPatient
	severalPatients
	withoutIssuer
	withoutStudyUID
	undecodableMatch
	duplicate
	withoutAccession
	undated
	modalitiesUnknown
	optionalKeys
	optionalKeysRefused
	dataSetMissing
	syntaxAssumed
	charsetAssumed
	charsetUnknown
	textUndecodable
	valueMalformed
	textCut
	failedUIDMalformed
	failedUIDsCut

	// Those of a Search.
	otherLevel
	otherParent
	withoutUID
	sharedUID
	repeated
	undatedUnread
	timelessUnread
	uncertain

	events // their number
)

// wording is the code of an event and its message, to follow the count: for one and for more.
type wording struct {
	code      WarningCode
	one, many string
}

func (e event) wording() wording {
	return [events]wording{
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
			" study was dropped because its Study Instance UID belongs to another patient too",
			" studies were dropped because their Study Instance UIDs belong to other patients too",
		},
		ambiguousPatient: {
			WarningPatientAmbiguous,
			" match has this Patient ID with another issuer, or with another name and birth date",
			" matches have this Patient ID with another issuer, or with another name and birth date",
		},
		severalPatients: {
			WarningPatientAmbiguous,
			" study is of another patient than the first", " studies are of other patients than the first",
		},
		withoutIssuer: {
			WarningPatientAmbiguous,
			" match whose Patient ID has no issuer was dropped",
			" matches whose Patient IDs have no issuer were dropped",
		},
		withoutStudyUID: {
			WarningNoStudyUIDDropped,
			" match without a valid Study Instance UID was dropped",
			" matches without a valid Study Instance UID were dropped",
		},
		undecodableMatch: {
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
			" study was dropped because the PACS does not return its Accession Number",
			" studies were dropped because the PACS does not return their Accession Numbers",
		},
		undated: {
			WarningUndatedDropped,
			" study without a readable date was dropped", " studies without a readable date were dropped",
		},
		modalitiesUnknown: {
			WarningModalitiesUnknown,
			" study was dropped because the PACS does not return its modalities",
			" studies were dropped because the PACS does not return their modalities",
		},
		optionalKeys: {
			WarningOptionalKeysUnsupported,
			" match came with a status that says that the PACS does not support all optional keys",
			" matches came with a status that says that the PACS does not support all optional keys",
		},
		optionalKeysRefused: {
			WarningOptionalKeysUnsupported,
			" query was refused by the PACS and repeated with fewer keys; attributes of studies may be empty",
			" queries were refused by the PACS and repeated with fewer keys; attributes of studies may be empty",
		},
		dataSetMissing: {
			WarningDataSetMissing,
			" final response announced a data set that did not arrive; what came before it is complete",
			" final responses announced a data set that did not arrive; what came before them is complete",
		},
		syntaxAssumed: {
			WarningTransferSyntaxAssumed,
			" match was not in the negotiated transfer syntax and was decoded in the one it is in",
			" matches were not in the negotiated transfer syntax and were decoded in the one they are in",
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
			" match has text that is not valid in its character set",
			" matches have text that is not valid in their character sets",
		},
		valueMalformed: {
			WarningValueMalformed,
			" match has a malformed value", " matches have malformed values",
		},
		textCut: {
			WarningTextCut,
			" match has text that is far too long and was cut", " matches have text that is far too long and was cut",
		},
		failedUIDMalformed: {
			WarningValueMalformed,
			" malformed Failed SOP Instance UID was left out", " malformed Failed SOP Instance UIDs were left out",
		},
		failedUIDsCut: {
			WarningFailedInstancesCut,
			" Failed SOP Instance UID was left out because there are too many",
			" Failed SOP Instance UIDs were left out because there are too many",
		},
		otherLevel: {
			WarningOtherEntityDropped,
			" match of another level was dropped", " matches of another level were dropped",
		},
		otherParent: {
			WarningOtherEntityDropped,
			" match of another study or series was dropped", " matches of other studies or series were dropped",
		},
		withoutUID: {
			WarningOtherEntityDropped,
			" match without a valid UID was dropped", " matches without valid UIDs were dropped",
		},
		sharedUID: {
			WarningPatientAmbiguous,
			" match with the UID of another patient's match was dropped",
			" matches with the UIDs of other patients' matches were dropped",
		},
		repeated: {
			WarningDuplicatesMerged,
			" match that repeats another was merged", " matches that repeat others were merged",
		},
		undatedUnread: {
			WarningIncomplete,
			" search for studies without a date had too many matches; some of these studies may be missing",
			" searches for studies without a date had too many matches; some of these studies may be missing",
		},
		timelessUnread: {
			WarningIncomplete,
			" study of a day with too many studies has no time and may be missing",
			" studies of a day with too many studies have no time and may be missing",
		},
		uncertain: {
			WarningIncomplete,
			" query found nothing, and it could not be checked whether the PACS supports all of its keys",
			" queries found nothing, and it could not be checked whether the PACS supports all of their keys",
		},
	}[e]
}

// counts counts events, so that an answer has at most one warning for each, however many matches there are.
type counts [events]int

// addText counts the warnings about the text of one match.
func (c *counts) addText(w dataset.Warnings) {
	for _, flag := range [...]struct {
		bit dataset.Warnings
		is  event
	}{
		{dataset.CharacterSetAssumed, charsetAssumed},
		{dataset.CharacterSetUnknown, charsetUnknown},
		{dataset.TextUndecodable, textUndecodable},
		{dataset.ValueMalformed, valueMalformed},
		{dataset.TransferSyntaxAssumed, syntaxAssumed},
		{dataset.TextCut, textCut},
	} {
		if w&flag.bit != 0 {
			c[flag.is]++
		}
	}
}

// tally is what the C-FINDs of one operation lead to beside matches.
type tally struct {
	counts counts
	// unreadable is why a match could not be decoded; nil if all could.
	unreadable error
}

// undecodable counts a match that could not be decoded.
func (t *tally) undecodable(err error) {
	t.counts[undecodableMatch]++
	t.unreadable = err
}

// drop counts a match that is not kept, and the warnings about its text, which may be the reason.
func (t *tally) drop(set *dataset.Set, why event) {
	t.counts[why]++
	t.counts.addText(set.Warnings())
}

func (c *counts) warnings() []Warning {
	list := []Warning{}
	for e, n := range c {
		if n == 0 {
			continue
		}
		w := event(e).wording()
		text := w.many
		if n == 1 {
			text = w.one
		}
		list = append(list, Warning{Code: w.code, Message: strconv.Itoa(n) + text})
	}
	return list
}
