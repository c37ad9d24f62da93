package kubernetes

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// natsManifests are the objects of components/nats.
type natsManifests struct {
	servers  *appsv1.StatefulSet
	service  *corev1.Service
	config   *corev1.ConfigMap
	budget   *policyv1.PodDisruptionBudget
	policies map[string]*networkingv1.NetworkPolicy
}

const (
	nameLabel = "app.kubernetes.io/name"
	natsName  = "dicom-qr-gateway-nats"
)

// addNATS reports whether the object is one of components/nats.
func (m *manifests) addNATS(t *testing.T, object runtime.Object) bool {
	t.Helper()
	o, err := meta.Accessor(object)
	require.NoError(t, err)
	if o.GetLabels()[nameLabel] != natsName {
		return false
	}
	if m.nats == nil {
		m.nats = &natsManifests{policies: map[string]*networkingv1.NetworkPolicy{}}
	}
	switch object := object.(type) {
	case *appsv1.StatefulSet:
		m.nats.servers = object
	case *corev1.Service:
		m.nats.service = object
	case *corev1.ConfigMap:
		m.nats.config = object
	case *policyv1.PodDisruptionBudget:
		m.nats.budget = object
	case *networkingv1.NetworkPolicy:
		m.nats.policies[object.Name] = object
	default:
		require.Fail(t, "no test for objects of type", "%T", object)
	}
	return true
}

// config writes nats.conf with the paths of a test, and returns what the server reads there.
func (n *natsManifests) options(t *testing.T, secrets secretFiles, pod string) *server.Options {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "nats.conf")
	text := strings.NewReplacer("/etc/nats-tls/", filepath.Join(string(secrets), natsName+"-tls")+"/", "/data", filepath.Join(dir, "data")).
		Replace(n.config.Data["nats.conf"])
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	included, err := os.ReadFile(filepath.Join(string(secrets), natsName, "secrets.conf"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secrets.conf"), included, 0o600))
	t.Setenv("POD_NAME", pod)
	options, err := server.ProcessConfigFile(file)
	require.NoError(t, err)
	return options
}

// startNATS runs the servers of components/nats until the test ends, and returns their URLs.
func startNATS(t *testing.T, secrets secretFiles) string {
	t.Helper()
	n := render(t, nil, "nats").nats
	var routes []*url.URL
	var all []*server.Options
	for i := range int(*n.servers.Spec.Replicas) {
		o := n.options(t, secrets, fmt.Sprintf("%s-%d", n.servers.Name, i))
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		_, port, err := net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		require.NoError(t, l.Close())
		o.Host, o.Port, o.HTTPPort, o.NoSigs, o.NoLog = "127.0.0.1", -1, 0, true, true
		o.Cluster.Host = "127.0.0.1"
		o.Cluster.Port, err = strconv.Atoi(port)
		require.NoError(t, err)
		route, err := url.Parse("nats://127.0.0.1:" + port)
		require.NoError(t, err)
		routes, all = append(routes, route), append(all, o)
	}
	var running []*server.Server
	var urls []string
	for _, o := range all {
		o.Routes = routes
		s, err := server.NewServer(o)
		require.NoError(t, err)
		go s.Start()
		t.Cleanup(s.WaitForShutdown)
		t.Cleanup(s.Shutdown)
		require.True(t, s.ReadyForConnections(10*time.Second))
		running, urls = append(running, s), append(urls, s.ClientURL())
	}
	require.Eventually(t, func() bool {
		for _, s := range running {
			if s.JetStreamIsLeader() {
				return len(s.JetStreamClusterPeers()) == len(running)
			}
		}
		return false
	}, 30*time.Second, 10*time.Millisecond, "the servers elect no leader")
	return strings.ReplaceAll(strings.Join(urls, ","), "nats://", "tls://")
}

func TestNATSServersAgreeWithTheirConfiguration(t *testing.T) {
	secrets := makeSecrets(t)
	m := render(t, nil, "nats")
	n := m.nats
	o := n.options(t, secrets, "dicom-qr-gateway-nats-0")
	assert.Equal(t, "dicom-qr-gateway-nats-0", o.ServerName)
	assert.True(t, o.SyncAlways)
	assert.Equal(t, server.AES, o.JetStreamCipher)
	assert.GreaterOrEqual(t, len(o.JetStreamKey), 32)
	assert.NotNil(t, o.TLSConfig)
	assert.NotNil(t, o.Cluster.TLSConfig.ClientCAs, "servers verify each other")

	c := n.servers.Spec.Template.Spec.Containers[0]
	ports := map[string]int{}
	for _, port := range c.Ports {
		ports[port.Name] = int(port.ContainerPort)
	}
	assert.Equal(t, map[string]int{"client": o.Port, "cluster": o.Cluster.Port, "monitor": o.HTTPPort}, ports)
	replicas := int(*n.servers.Spec.Replicas)
	require.Len(t, o.Routes, replicas)
	for i, route := range o.Routes {
		assert.Equal(t, fmt.Sprintf("%s-%d.%s:%d", n.servers.Name, i, n.service.Name, o.Cluster.Port), route.Host)
	}
	assert.Equal(t, strconv.Itoa(replicas), m.environment()["JOBS_REPLICAS"])
	assert.Equal(t, fmt.Sprintf("tls://%s:%d", n.service.Name, o.Port), m.environment()["NATS_URL"])
	volume := n.servers.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests[corev1.ResourceStorage]
	assert.Positive(t, volume.Cmp(*resource.NewQuantity(o.JetStreamMaxStore, resource.BinarySI)))
	assert.Equal(t, filepath.Base(o.StoreDir), filepath.Base(c.VolumeMounts[2].MountPath))
}

func TestOnlyTheGatewayReachesNATS(t *testing.T) {
	m := render(t, nil, "nats")
	n := m.nats
	pod, gateway := n.servers.Spec.Template.Labels, m.deployment.Spec.Template.Labels
	finds(t, n.servers.Spec.Selector, pod)
	assert.Equal(t, n.service.Name, n.servers.Spec.ServiceName)
	assert.Equal(t, pod, n.service.Spec.Selector)
	finds(t, n.budget.Spec.Selector, pod)
	assert.Equal(t, intstr.FromInt32(1), *n.budget.Spec.MaxUnavailable, "the majority stays")

	require.Len(t, n.policies, 2)
	out, in := n.policies["dicom-qr-gateway-to-nats"], n.policies[natsName]
	finds(t, &out.Spec.PodSelector, gateway)
	require.Len(t, out.Spec.Egress, 1)
	finds(t, out.Spec.Egress[0].To[0].PodSelector, pod)
	finds(t, &in.Spec.PodSelector, pod)
	require.Len(t, in.Spec.Ingress, 2)
	for i, from := range []map[string]string{gateway, pod} {
		require.Len(t, in.Spec.Ingress[i].From, 1)
		finds(t, in.Spec.Ingress[i].From[0].PodSelector, from)
		assert.Equal(t, intstr.FromString([]string{"client", "cluster"}[i]), *in.Spec.Ingress[i].Ports[0].Port)
	}
}

func TestNATSServersHaveMinimalPrivileges(t *testing.T) {
	pod := render(t, nil, "nats").nats.servers.Spec.Template.Spec
	c := pod.Containers[0]
	assert.False(t, *pod.AutomountServiceAccountToken)
	assert.True(t, *pod.SecurityContext.RunAsNonRoot)
	assert.NotEqual(t, imageUser(t), fmt.Sprintf("%d:%d", *pod.SecurityContext.RunAsUser, *pod.SecurityContext.RunAsGroup))
	assert.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, pod.SecurityContext.SeccompProfile.Type)
	assert.False(t, *c.SecurityContext.AllowPrivilegeEscalation)
	assert.True(t, *c.SecurityContext.ReadOnlyRootFilesystem)
	assert.Equal(t, &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}, c.SecurityContext.Capabilities)
	assert.Regexp(t, `^nats:\d+\.\d+\.\d+$`, c.Image)
	assert.Equal(t, corev1.DoNotSchedule, pod.TopologySpreadConstraints[0].WhenUnsatisfiable, "the loss of a node is not that of the majority")
}
