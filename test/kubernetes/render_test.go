package kubernetes

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// samples is the folder of the manifests.
const samples = "../../samples/kubernetes"

// manifests holds the objects that `kubectl apply -k` sends to the cluster.
type manifests struct {
	namespace  *corev1.Namespace
	deployment *appsv1.Deployment  // or what a StatefulSet has in common with one
	stateful   *appsv1.StatefulSet // nil without components/storage-scp
	service    *corev1.Service
	perPod     []*corev1.Service // of storage SCPs
	settings   *corev1.ConfigMap
	pacs       *corev1.ConfigMap // pacs.yaml
	autoscaler *autoscalingv2.HorizontalPodAutoscaler
	budget     *policyv1.PodDisruptionBudget
	policies   []*networkingv1.NetworkPolicy
	monitor    *monitoringv1.ServiceMonitor // nil without components/prometheus
	nats       *natsManifests               // nil without components/nats
	all        []runtime.Object
}

// container returns the gateway's container.
func (m *manifests) container() *corev1.Container {
	return &m.deployment.Spec.Template.Spec.Containers[0]
}

// optional lists the components that kustomization.yaml names in comments. Those before the last need a Secret.
var optional = []string{"api-keys", "tls", "dicom-tls", "nats", "storage-scp"}

// each runs the test with the components of kustomization.yaml, with each optional component,
// with all of them, and without the Prometheus operator.
func each(t *testing.T, test func(t *testing.T, m *manifests)) {
	t.Helper()
	t.Run("default", func(t *testing.T) { test(t, render(t, nil)) })
	for _, component := range optional {
		t.Run("with "+component, func(t *testing.T) { test(t, render(t, nil, component)) })
	}
	t.Run("with all", func(t *testing.T) { test(t, render(t, nil, optional...)) })
	without := func(t *testing.T, text string) string { return replace(t, text, "  - components/prometheus\n", "") }
	t.Run("without prometheus", func(t *testing.T) { test(t, render(t, without, optional...)) })
}

// render builds kustomization.yaml with the named components uncommented. It fails if an object
// has a field that Kubernetes does not define.
func render(t *testing.T, edit func(t *testing.T, kustomization string) string, components ...string) *manifests {
	t.Helper()
	files := filesys.MakeFsInMemory()
	require.NoError(t, fs.WalkDir(os.DirFS(samples), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !slices.Contains([]string{".yaml", ".env", ".conf"}, filepath.Ext(path)) {
			return err
		}
		content, err := os.ReadFile(filepath.Join(samples, path))
		if err != nil {
			return err
		}
		return files.WriteFile(path, content)
	}))
	content, err := files.ReadFile("kustomization.yaml")
	require.NoError(t, err)
	text := string(content)
	for _, component := range components {
		text = replace(t, text, "# - components/"+component+"\n", "- components/"+component+"\n")
	}
	if edit != nil {
		text = edit(t, text)
	}
	require.NoError(t, files.WriteFile("kustomization.yaml", []byte(text)))

	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, ".")
	require.NoError(t, err)
	stream, err := built.AsYaml()
	require.NoError(t, err)
	return decode(t, stream)
}

func decode(t *testing.T, stream []byte) *manifests {
	t.Helper()
	m := &manifests{}
	decoder := strictDecoder(t)
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(stream)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		object, _, err := decoder.Decode(document, nil, nil)
		require.NoError(t, err, string(document))
		m.add(t, object)
	}
	require.NotNil(t, m.namespace)
	require.NotNil(t, m.deployment)
	require.NotNil(t, m.service)
	require.NotNil(t, m.settings)
	require.NotNil(t, m.pacs)
	require.NotNil(t, m.autoscaler)
	require.NotNil(t, m.budget)
	require.NotEmpty(t, m.policies)
	require.Len(t, m.deployment.Spec.Template.Spec.Containers, 1)
	return m
}

func (m *manifests) add(t *testing.T, object runtime.Object) {
	t.Helper()
	m.all = append(m.all, object)
	if m.addNATS(t, object) {
		return
	}
	switch object := object.(type) {
	case *corev1.Namespace:
		m.namespace = object
	case *appsv1.Deployment:
		m.deployment = object
	case *appsv1.StatefulSet:
		m.stateful = object
		m.deployment = &appsv1.Deployment{TypeMeta: object.TypeMeta, ObjectMeta: object.ObjectMeta, Spec: appsv1.DeploymentSpec{
			Replicas: object.Spec.Replicas, Selector: object.Spec.Selector, Template: object.Spec.Template, MinReadySeconds: object.Spec.MinReadySeconds,
		}}
	case *corev1.Service:
		if object.Name != "dicom-qr-gateway" {
			m.perPod = append(m.perPod, object)
			break
		}
		m.service = object
	case *corev1.ConfigMap:
		if _, isFile := object.Data["pacs.yaml"]; isFile {
			m.pacs = object
		} else {
			m.settings = object
		}
	case *autoscalingv2.HorizontalPodAutoscaler:
		m.autoscaler = object
	case *policyv1.PodDisruptionBudget:
		m.budget = object
	case *networkingv1.NetworkPolicy:
		m.policies = append(m.policies, object)
	case *monitoringv1.ServiceMonitor:
		m.monitor = object
	default:
		require.Fail(t, "no test for objects of type", "%T", object)
	}
}

// strictDecoder rejects unknown fields, duplicate fields and values of the wrong type.
func strictDecoder(t *testing.T) runtime.Decoder {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, autoscalingv2.AddToScheme, policyv1.AddToScheme,
		networkingv1.AddToScheme, monitoringv1.AddToScheme,
	} {
		require.NoError(t, add(scheme))
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
}

func replace(t *testing.T, text, what, by string) string {
	t.Helper()
	require.Equal(t, 1, strings.Count(text, what), what)
	return strings.Replace(text, what, by, 1)
}
