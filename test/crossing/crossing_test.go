// Package crossing tests that no instance reaches another caller than the one that asked for it.
package crossing

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/test/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

var rounds = flag.Int("rounds", 3, "rounds of concurrent retrievals")

const callers = 8

// TestConcurrentCallersGetTheirOwnInstances has eight callers at once retrieve from PACS that scramble the order of the instances, the
// associations on which they come, the Move Originator, and whether the final response comes first. Some ask for equal studies, of one
// PACS or of several, and one leaves early.
func TestConcurrentCallersGetTheirOwnInstances(t *testing.T) {
	for _, titles := range []string{"GATEWAY", "GATEWAY1,GATEWAY2,GATEWAY3,GATEWAY4"} {
		t.Run(fmt.Sprintf("titles=%d", strings.Count(titles, ",")+1), func(t *testing.T) {
			s := start(t, titles)
			random := rand.New(rand.NewPCG(1, 2))
			for number := range *rounds {
				if s.round(t, random, number); t.Failed() {
					t.Fatalf("in round %d", number)
				}
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			assert.Greater(t, len(s.moves), *rounds*callers/4, "C-MOVEs")
		})
	}
}

// site is a gateway with its PACS.
type site struct {
	*senders
	url      string
	archives []*archive
}

func start(t *testing.T, titles string) *site {
	t.Helper()
	s := &site{senders: &senders{}}
	s.archives = []*archive{
		{name: "a", aeTitle: "PACSA", host: "127.0.0.1"}, {name: "b", aeTitle: "PACSB", host: "127.0.0.1"}, {name: "c", aeTitle: "PACSA", host: "127.0.0.2"},
	}
	if runtime.GOOS != "linux" {
		s.archives = s.archives[:2] // elsewhere, 127.0.0.1 is the only loopback address as a rule
	}
	var file strings.Builder
	file.WriteString("pacs:\n")
	for _, a := range s.archives {
		a.senders = s.senders
		a.listen(t)
		_, port, err := net.SplitHostPort(a.address)
		require.NoError(t, err)
		fmt.Fprintf(&file, "  %s: {host: %s, port: %s, ae_title: %s, calling_ae_title: GATEWAY, retrieve: move, max_retrievals: 8, max_associations: 20}\n",
			a.name, a.host, port, a.aeTitle)
	}
	path := filepath.Join(t.TempDir(), "pacs.yaml")
	require.NoError(t, os.WriteFile(path, []byte(file.String()), 0o600))
	g := rig.RunGateway(t, rig.Command{OnlyEnv: true, Env: []string{
		"LISTEN_ADDR=127.0.0.1:0", "STORE_LISTEN_ADDR=127.0.0.1:0", "STORE_AE_TITLES=" + titles, "PACS_FILE=" + path, "ASSOCIATION_IDLE=60",
	}})
	var listening struct{ Address string }
	require.NoError(t, g.Await(t, rig.Message("storage SCP listening")).Decode(&listening))
	s.url, s.scp = g.URL, listening.Address

	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	for i := range 4 {
		running.Go(func() { assert.NoError(t, s.run(ctx, rand.New(rand.NewPCG(3, uint64(i)))), "a PACS cannot send") })
	}
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	return s
}

func (s *site) round(t *testing.T, random *rand.Rand, number int) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("the round takes too long"))
	defer cancel()
	var wait sync.WaitGroup
	for i := range callers {
		// Two studies for eight callers, so that several ask for the same.
		asked := target{study: fmt.Sprintf("1.2.%d.%d", number+1, random.IntN(2)+1)}
		level, from := random.IntN(3), s.archives[random.IntN(len(s.archives))]
		if i == 0 {
			asked.study += ".9" // its AE title rests for longer than the round
			wait.Go(func() { s.leave(ctx, t, from, asked) })
			continue
		}
		one := asked.instances()[random.IntN(seriesPerStudy*imagesPerSeries)]
		if level > 0 {
			asked.series = one.series
		}
		if level > 1 {
			asked.instance = one.instance
		}
		wait.Go(func() {
			if err := s.retrieve(ctx, from, asked); err != nil {
				t.Errorf("%+v of %s: %v", asked, from.name, err)
				cancel()
			}
		})
	}
	wait.Wait()
}

func (s *site) get(ctx context.Context, from *archive, asked target) (*http.Response, error) {
	url := fmt.Sprintf("%s/dicomweb/%s/studies/%s", s.url, from.name, asked.study)
	if asked.series != "" {
		url += "/series/" + asked.series
	}
	if asked.instance != "" {
		url += "/instances/" + asked.instance
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", `multipart/related; type="application/dicom"; transfer-syntax=*`)
	return http.DefaultClient.Do(r)
}

// leave asks for a study and disconnects when the answer begins.
func (s *site) leave(ctx context.Context, t *testing.T, from *archive, asked target) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	response, err := s.get(ctx, from, asked)
	if assert.NoError(t, err) {
		assert.Equal(t, http.StatusOK, response.StatusCode)
		cancel()
		_ = response.Body.Close()
	}
}

// retrieve compares an answer with what the PACS sent: all instances of one move for the same target, byte for byte.
func (s *site) retrieve(ctx context.Context, from *archive, asked target) error {
	response, err := s.get(ctx, from, asked)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		return fmt.Errorf("status %d: %s", response.StatusCode, text)
	}
	_, parameters, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	var own *move
	missing := asked.instances()
	for parts := multipart.NewReader(response.Body, parameters["boundary"]); ; {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		data, err := dataSet(part)
		if err != nil {
			return err
		}
		set, err := dataset.Parse(data, dataset.ExplicitVRLittleEndian, dataset.Limits{})
		if err != nil {
			return err
		}
		m := s.of(set.Text(patientComments))
		switch {
		case m == nil:
			return errors.New("an instance that no move sent")
		case own == nil:
			own = m
		case m != own:
			return fmt.Errorf("instances of two moves, %d and %d", own.id, m.id)
		}
		if m.archive != from || m.target != asked {
			return fmt.Errorf("an instance of the move %+v of %s", m.target, m.archive.name)
		}
		at := slices.IndexFunc(missing, func(one target) bool { return one.instance == set.String(sopInstanceUID) })
		if at < 0 {
			return errors.New("an instance twice, or one that was not asked for")
		}
		if !bytes.Equal(data, m.image(missing[at])) {
			return errors.New("other bytes than the PACS sent")
		}
		missing = slices.Delete(missing, at, at+1)
	}
	if len(missing) > 0 {
		return fmt.Errorf("%d instances are missing", len(missing))
	}
	return nil
}

// dataSet returns the data set in a DICOM file (PS3.10 section 7.1).
func dataSet(file io.Reader) ([]byte, error) {
	b, err := io.ReadAll(file)
	const preamble, groupLength = 132, 12
	if err != nil || len(b) < preamble+groupLength || string(b[preamble-4:preamble]) != "DICM" {
		return nil, fmt.Errorf("no DICOM file: %w", err)
	}
	meta := int(binary.LittleEndian.Uint32(b[preamble+8:]))
	if len(b) < preamble+groupLength+meta {
		return nil, errors.New("no data set")
	}
	return b[preamble+groupLength+meta:], nil
}
