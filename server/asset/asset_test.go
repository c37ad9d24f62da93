package asset

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
)

func get(e *echo.Echo, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, http.NoBody))
	return w
}

func TestUnreadableFileAnswers500(t *testing.T) {
	e := echo.New()
	New("text/plain", func() ([]byte, error) { return nil, os.ErrNotExist }).Register(e, "/file")
	assert.Equal(t, http.StatusInternalServerError, get(e, "/file").Code)
}

func TestFilesAreReadOnTheFirstRequest(t *testing.T) {
	reads := 0
	e := echo.New()
	New("text/plain", func() ([]byte, error) { reads++; return []byte("content"), nil }).Register(e, "/file")
	assert.Zero(t, reads)
	for range 2 {
		assert.Equal(t, "content", get(e, "/file").Body.String())
	}
	assert.Equal(t, 1, reads)
}
