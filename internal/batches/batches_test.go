package batches_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/batches"
	"dicom-qr-gateway/internal/broker/brokertest"
	"dicom-qr-gateway/internal/config"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/telemetry"
)

// open creates Batches with these settings.
func open(t *testing.T, variables map[string]string) (*batches.Batches, error) {
	t.Helper()
	settings, err := config.Load(variables)
	require.NoError(t, err)
	watch, err := telemetry.New(telemetry.Options{Logger: zerolog.Nop()})
	require.NoError(t, err)
	return batches.New(t.Context(), batches.Options{
		Settings: &settings, Associations: pool.New(settings.Pool()), Telemetry: watch, Logger: zerolog.Nop(),
	})
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestWithoutSettingsThereAreNoBatches(t *testing.T) {
	b, err := open(t, nil)
	require.NoError(t, err)
	assert.Nil(t, b)
	assert.Nil(t, b.Jobs())
	require.NoError(t, b.Err())
	b.Run(t.Context())
	require.NoError(t, b.Close())
}

func TestBatchesWorkUntilTheGatewayEnds(t *testing.T) {
	dir := t.TempDir()
	b, err := open(t, map[string]string{"JOBS_DIR": dir, "JOBS_KEY_FILE": write(t, filepath.Join(t.TempDir(), "key"), brokertest.Key)})
	require.NoError(t, err)
	assert.NotNil(t, b.Jobs())
	require.NoError(t, b.Err())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.Run(ctx)
	}()
	cancel()
	<-ended
	require.NoError(t, b.Close())
}

func TestTheSettingAtFaultIsNamed(t *testing.T) {
	dir, keys := t.TempDir(), t.TempDir()
	variables := map[string]string{"JOBS_DIR": dir, "JOBS_KEY_FILE": write(t, filepath.Join(keys, "key"), brokertest.Key)}
	b, err := open(t, variables)
	require.NoError(t, err)
	_, err = open(t, variables)
	var faults *config.FaultsError
	require.ErrorAs(t, err, &faults)
	assert.Equal(t, []string{"JOBS_DIR: " + dir + ": another process uses this directory"}, faults.Lines)
	require.NoError(t, b.Close())

	variables["JOBS_KEY_FILE"] = write(t, filepath.Join(keys, "other"), "another key of more than 32 characters")
	_, err = open(t, variables)
	require.ErrorAs(t, err, &faults)
	assert.Equal(t, []string{"JOBS_KEY_FILE: " + dir + ": the files in this directory were encrypted with another key"}, faults.Lines)
}
