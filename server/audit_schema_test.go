package server

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// auditSchema is the part of the schema of PS3.15 section A.5.1 that the gateway uses.
const auditSchema = `{
"type": "object", "additionalProperties": false,
"required": ["EventIdentification", "ActiveParticipant", "AuditSourceIdentification"],
"properties": {
  "EventIdentification": {
    "type": "object", "additionalProperties": false,
    "required": ["EventID", "EventActionCode", "EventDateTime", "EventOutcomeIndicator"],
    "properties": {
      "EventID": CODE,
      "EventActionCode": {"type": "string", "enum": ["C", "R", "U", "D", "E"]},
      "EventDateTime": {"type": "string", "format": "date-time"},
      "EventOutcomeIndicator": {"type": "string", "enum": ["0", "4", "8", "12"]},
      "EventTypeCode": {"type": "array", "minItems": 1, "items": CODE},
      "EventOutcomeDescription": {"type": "string", "minLength": 1}
    }
  },
  "ActiveParticipant": {
    "type": "array", "minItems": 1,
    "items": {
      "type": "object", "additionalProperties": false, "required": ["UserID", "UserIsRequestor"],
      "properties": {
        "UserID": {"type": "string", "minLength": 1},
        "AlternativeUserID": {"type": "string", "minLength": 1},
        "UserName": {"type": "string", "minLength": 1},
        "UserIsRequestor": {"type": "boolean"},
        "RoleIDCode": {"type": "array", "minItems": 1, "items": CODE},
        "NetworkAccessPointID": {"type": "string", "minLength": 1},
        "NetworkAccessPointTypeCode": {"type": "string", "enum": ["1", "2", "3", "4", "5"]}
      }
    }
  },
  "AuditSourceIdentification": {
    "type": "object", "additionalProperties": false, "required": ["AuditSourceID", "AuditSourceTypeCode"],
    "properties": {
      "AuditSourceID": {"type": "string", "minLength": 1},
      "AuditSourceTypeCode": {"type": "array", "minItems": 1, "items": SOURCE}
    }
  },
  "ParticipantObjectIdentification": {
    "type": "array", "minItems": 1,
    "items": {
      "type": "object", "additionalProperties": false,
      "required": ["ParticipantObjectID", "ParticipantObjectTypeCode", "ParticipantObjectTypeCodeRole", "ParticipantObjectIDTypeCode"],
      "properties": {
        "ParticipantObjectID": {"type": "string", "minLength": 1},
        "ParticipantObjectTypeCode": {"type": "string", "enum": ["1", "2", "3", "4"]},
        "ParticipantObjectTypeCodeRole": {"type": "string", "pattern": "^([1-9]|1[0-9]|2[0-6])$"},
        "ParticipantObjectIDTypeCode": CODE,
        "ParticipantObjectName": {"type": "string", "minLength": 1},
        "ParticipantObjectQuery": {"type": "string", "format": "byte", "minLength": 1},
        "ParticipantObjectDetail": {
          "type": "array", "minItems": 1,
          "items": {
            "type": "object", "additionalProperties": false, "required": ["type", "value"],
            "properties": {"type": {"type": "string"}, "value": {"type": "string", "format": "byte"}}
          }
        },
        "ParticipantObjectDescription": {
          "type": "object", "additionalProperties": false,
          "properties": {"Accession": {"type": "array", "items": {"type": "object", "required": ["Number"]}}}
        }
      }
    }
  },
  "correlation_id": {"type": "string", "minLength": 1}
}}`

const auditCodeSchema = `{
  "type": "object", "additionalProperties": false, "required": ["csd-code", "codeSystemName", "originalText"],
  "properties": {
    "csd-code": {"type": "string", "minLength": 1},
    "codeSystemName": {"type": "string", "enum": ["DCM", "DCMUID", "RFC-3881"]},
    "originalText": {"type": "string", "minLength": 1}
  }
}`

var auditSourceSchema = strings.Replace(auditCodeSchema, `"csd-code", "codeSystemName", "originalText"]`, `"csd-code"]`, 1)

// record is an audit record as it was written.
type record struct {
	Event struct {
		ID struct {
			Code string `json:"csd-code"`
		} `json:"EventID"`
		Action      string `json:"EventActionCode"`
		DateTime    string `json:"EventDateTime"`
		Outcome     string `json:"EventOutcomeIndicator"`
		Description string `json:"EventOutcomeDescription"`
		Types       []struct {
			Code string `json:"csd-code"`
		} `json:"EventTypeCode"`
	} `json:"EventIdentification"`
	Participants []struct {
		UserID, AlternativeUserID, UserName string
		UserIsRequestor                     bool
		Roles                               []struct {
			Code string `json:"csd-code"`
		} `json:"RoleIDCode"`
		NetworkAccessPointID, NetworkAccessPointTypeCode string
	} `json:"ActiveParticipant"`
	Objects []struct {
		ID         string `json:"ParticipantObjectID"`
		TypeCode   string `json:"ParticipantObjectTypeCode"`
		Role       string `json:"ParticipantObjectTypeCodeRole"`
		IDTypeCode struct {
			Code string `json:"csd-code"`
		} `json:"ParticipantObjectIDTypeCode"`
		Name    string `json:"ParticipantObjectName"`
		Query   []byte `json:"ParticipantObjectQuery"`
		Details []struct {
			Type  string `json:"type"`
			Value []byte `json:"value"`
		} `json:"ParticipantObjectDetail"`
	} `json:"ParticipantObjectIdentification"`
	CorrelationID string `json:"correlation_id"`
}

// details returns the details of the object with this ID.
func (r *record) details(id string) map[string]string {
	details := map[string]string{}
	for _, o := range r.Objects {
		if o.ID == id {
			for _, d := range o.Details {
				details[d.Type] = string(d.Value)
			}
		}
	}
	return details
}

// objectIDs returns the IDs of the objects of this type.
func (r *record) objectIDs(idType string) []string {
	ids := []string{}
	for _, o := range r.Objects {
		if o.IDTypeCode.Code == idType {
			ids = append(ids, o.ID)
		}
	}
	return ids
}

// requestor returns the only participant that is a requestor.
func (r *record) requestor(t *testing.T) (userID, alternative, address string) {
	t.Helper()
	n := 0
	for _, p := range r.Participants {
		if p.UserIsRequestor {
			userID, alternative, address = p.UserID, p.AlternativeUserID, p.NetworkAccessPointID
			n++
		}
	}
	assert.Equal(t, 1, n, "requestors")
	return userID, alternative, address
}

// aeTitles returns the AE titles by the code of their role.
func (r *record) aeTitles() map[string]string {
	titles := map[string]string{}
	for _, p := range r.Participants {
		if title, ok := strings.CutPrefix(p.AlternativeUserID, "AETITLES="); ok {
			titles[p.Roles[0].Code] = title
		}
	}
	return titles
}

// records parses audit records and validates each against the schema.
func records(t *testing.T, text string) []record {
	t.Helper()
	var schema openapi3.Schema
	definition := strings.NewReplacer("CODE", auditCodeSchema, "SOURCE", auditSourceSchema).Replace(auditSchema)
	require.NoError(t, json.Unmarshal([]byte(definition), &schema))
	var all []record
	for line := range strings.Lines(text) {
		if !strings.Contains(line, `"EventIdentification"`) {
			continue // a log line
		}
		var value any
		require.NoError(t, json.Unmarshal([]byte(line), &value), "%s", line)
		require.NoError(t, schema.VisitJSON(value, openapi3.MultiErrors()), "%s", line)
		var r record
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		all = append(all, r)
	}
	return all
}
