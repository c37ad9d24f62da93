package server

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/receive"
)

// startImaging starts a gateway that retrieves from the demonstration PACS orthanca.
func startImaging(t *testing.T) *running {
	t.Helper()
	pacs, err := demo.Start("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, pacs.Close()) })
	host, port, err := net.SplitHostPort(pacs.A.Addr())
	require.NoError(t, err)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	gateway := newGateway(gatewayOptions{})
	store, err := spool.New(spool.Settings{})
	require.NoError(t, err)
	return startWith(t, gateway, preparation{options: func(o *Options) {
		o.PACS = namedMain{qr.Peer{
			Name: "orthanca", Host: host, Port: number, CalledAETitle: demo.AETitleA, CallingAETitle: "GATEWAY", Settings: &pool.Settings{},
		}}
		o.Spool = store
		o.Receiver = Receiving(receive.New(receive.Options{Gateway: gateway.Gateway, Pool: gateway.Pool, Spool: store}))
	}})
}

// The only instance of the study in the examples of metadata.
const (
	photoStudy    = "2.25.60358595589212802964630424203250568985"
	photoSeries   = "2.25.89863185681493817011714043836997027237"
	photoInstance = "2.25.316062595137971085774188033433449290640"
)

func TestExamplesOfMetadataEqualTheAnswersOfTheDemonstration(t *testing.T) {
	r := startImaging(t)
	shown := 0
	for path, item := range wholeContract(t).Paths.Map() {
		if !strings.HasSuffix(path, "/metadata") {
			continue
		}
		for mediaType, content := range item.Get.Responses.Status(http.StatusOK).Value.Content {
			for key, example := range content.Examples {
				shown++
				resource := strings.NewReplacer("{pacs}", "orthanca", "{study}", photoStudy, "{series}", photoSeries, "{instance}", photoInstance).Replace(path)
				status, header, answer := r.get(t, resource, "Accept", mediaType)
				require.Equal(t, http.StatusOK, status, answer)
				assert.True(t, strings.HasPrefix(header.Get("Content-Type"), mediaType))
				assert.Equal(t, example.Value.Value, asExample(t, strings.ReplaceAll(answer, r.url, "http://localhost:8888")), key)
			}
		}
	}
	assert.Equal(t, 6, shown)
}

func TestMetadataOfTheDemonstrationIsValid(t *testing.T) {
	r := startImaging(t)
	_, _, studies := r.get(t, "/dicomweb/orthanca/studies")
	for _, study := range asExample(t, studies).([]any) {
		uid := study.(map[string]any)["0020000D"].(map[string]any)["Value"].([]any)[0].(string)
		status, header, body := r.get(t, "/dicomweb/orthanca/studies/"+uid+"/metadata") // checked against the contract
		assert.Equal(t, []any{http.StatusOK, "complete"}, []any{status, header.Get("Retrieve-Outcome")}, body)
		_, _, err := fetch(t, r, http.MethodGet, "/dicomweb/orthanca/studies/"+uid, "Accept", `multipart/related; type="application/dicom"; transfer-syntax=*`)
		require.NoError(t, err)
	}
}
