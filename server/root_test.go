package server

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"dicom-qr-gateway/server/console"
)

func TestTheRootIsThePageForBrowsersAndARedirectForOthers(t *testing.T) {
	withConsole := func(o *Options) { o.Console = &console.Options{} }
	for name, c := range map[string]struct {
		options func(*Options)
		accept  string
		status  int
	}{
		"a browser":                       {withConsole, "text/html,*/*;q=0.8", http.StatusOK},
		"a program":                       {withConsole, "*/*", http.StatusFound},
		"a browser, with the console off": {nil, "text/html,*/*;q=0.8", http.StatusFound},
	} {
		t.Run(name, func(t *testing.T) {
			r := startWith(t, &fakeGateway{}, preparation{options: c.options}, "API_KEYS_FILE", keysFile(t, keyLine("worklist", worklistKey)))
			status, header, body := r.do(t, http.MethodGet, "/", nil, "Accept", c.accept)
			assert.Equal(t, c.status, status)
			files, _, _ := r.do(t, http.MethodGet, "/console/assets/main.js", nil)
			if c.options == nil {
				assert.Equal(t, http.StatusNotFound, files)
				return
			}
			assert.Equal(t, http.StatusOK, files, "without a key")
			assert.Equal(t, "Accept", header.Get("Vary"))
			if c.status == http.StatusOK {
				assert.Contains(t, body, `<div id="console" data-viewer="">`)
			} else {
				assert.Equal(t, "docs", header.Get("Location"))
			}
		})
	}
}
