package schema

import (
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// otherNames are names under which other programs and DICOM itself have these fields, without case and underscores.
var otherNames = map[string]string{
	"ip": "pacs_ip", "host": "pacs_ip", "hostname": "pacs_ip", "address": "pacs_ip", "pacshost": "pacs_ip", "pacshostname": "pacs_ip",
	"pacsaddress": "pacs_ip", "port": "pacs_port",
	"pacsname": "pacs", "archive": "pacs",
	"aet": "pacs_ae_title", "aetitle": "pacs_ae_title", "pacsaet": "pacs_ae_title", "calledaet": "pacs_ae_title", "calledaetitle": "pacs_ae_title",
	"callingaet": "c_find_ae_title", "callingaetitle": "c_find_ae_title", "cfindaet": "c_find_ae_title",
	"destination": "c_move_ae_title", "movedestination": "c_move_ae_title", "moveaetitle": "c_move_ae_title", "cmoveaet": "c_move_ae_title",
	"destinationaetitle": "c_move_ae_title", "modality": "modalities", "modalitiesinstudy": "modalities", "tls": "pacs_tls",
	"studyuids": "study_instance_uids", "studyuid": "study_instance_uids", "accession": "accession_number", "issuer": "issuer_of_patient_id", "limit": "max_results",
}

// nearest returns the field that was probably meant by name, which is not a field; "" if none is near.
func nearest(name string, fields openapi3.Schemas) string {
	const longest = 40 // of names that are compared
	if len(name) > longest {
		return ""
	}
	plain := plainName(name)
	if other := otherNames[plain]; fields[other] != nil {
		return other
	}
	found, least := "", len(plain)
	for field := range fields {
		known := plainName(field)
		allowed := min(max(len(plain), len(known))/4, 2)
		d := editDistance(plain, known, allowed)
		if d <= allowed && (d < least || d == least && field < found) {
			found, least = field, d
		}
	}
	return found
}

// plainName returns name without case, underscores, hyphens, dots and spaces.
func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("_-. ", r) {
			return -1
		}
		return r
	}, strings.ToLower(name))
}

// editDistance returns the number of bytes to insert, delete, replace or exchange with their neighbour to make b of a; any number above
// limit if there are more.
func editDistance(a, b string, limit int) int {
	if d := len(a) - len(b); max(d, -d) > limit {
		return limit + 1
	}
	var before, last []int // the rows of the table before the current one
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
