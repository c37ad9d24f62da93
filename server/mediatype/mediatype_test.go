package mediatype

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTheTypeWithTheHigherQualityIsPreferred(t *testing.T) {
	for accept, preferred := range map[string]bool{
		"": false, "*/*": false, "application/json": false, "text/csv": true, "Text/CSV; header=present": true,
		"text/csv, application/json": true, "text/csv;q=0.5, application/json": false, "application/json;q=0.4,text/csv;q=0.5": true,
		"text/csv;q=0": false, "text/csv;q=x": false, "text/csv;;": false,
	} {
		assert.Equal(t, preferred, Prefers([]string{accept}, "text/csv", "application/json"), "%q", accept)
	}
	assert.True(t, Prefers([]string{"application/json;q=0.1", "text/csv"}, "text/csv", "application/json"), "several fields are one list")
}
