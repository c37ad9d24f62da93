package schema

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// parseJSON accepts the same bodies as encoding/json and returns the same values.
func FuzzParseJSON(f *testing.F) {
	for _, seed := range []string{
		`{"pacs_ip":"192.0.2.1","pacs_port":104,"patient_id":"1112223333","modalities":["CT"]}`, `{}`, `[]`, ` [ ] `, `null`, `""`, `{"a":{"b":[1,2.50,-1e3,true,false,null,"x"]},"a":1}`, "\t[ 1 ,\n2\r]",
		`{"\u00e9\"\\/\b":"\ud83d\ude00 \ud800 é"}`, `[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]`, `{"a":1,}`, `[1 2]`, `{"a" 1}`, "", "\xff", `1 2`, `-0`, `1e400`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, faults := parseJSON(body)
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil || !json.Valid(body) || !utf8.Valid(body) {
			if got != nil || len(faults) != 1 {
				t.Fatalf("%v, %v of what is no JSON", got, faults)
			}
			return
		}
		if len(faults) > 0 && got == nil {
			return // nested too deeply
		}
		if diff := cmp.Diff(integralAll(want), got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func integralAll(value any) any {
	switch value := value.(type) {
	case json.Number:
		return integral(value)
	case []any:
		for i := range value {
			value[i] = integralAll(value[i])
		}
	case map[string]any:
		for name := range value {
			value[name] = integralAll(value[name])
		}
	}
	return value
}
