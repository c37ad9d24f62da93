package kubernetes

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

func TestDecoderRejectsInvalidFields(t *testing.T) {
	decoder := strictDecoder(t)
	for name, document := range map[string]string{
		"misspelt":     "apiVersion: v1\nkind: Service\nspec: {selektor: {a: b}}",
		"duplicate":    "apiVersion: v1\nkind: Service\nspec: {clusterIP: None, clusterIP: None}",
		"wrong type":   "apiVersion: apps/v1\nkind: Deployment\nspec: {minReadySeconds: soon}",
		"monitor":      "apiVersion: monitoring.coreos.com/v1\nkind: ServiceMonitor\nspec: {endpoints: [{ports: http}]}",
		"unknown kind": "apiVersion: autoscaling/v2beta2\nkind: HorizontalPodAutoscaler",
	} {
		_, _, err := decoder.Decode([]byte(document), nil, nil)
		assert.Error(t, err, name)
	}
}

func TestNamesAndLabelsAreValidInOneNamespace(t *testing.T) {
	each(t, func(t *testing.T, m *manifests) {
		for _, object := range m.all {
			o, err := meta.Accessor(object)
			require.NoError(t, err)
			assert.Empty(t, validation.NameIsDNSLabel(o.GetName(), false), o.GetName())
			assert.Empty(t, metav1validation.ValidateLabels(o.GetLabels(), field.NewPath("labels")))
			if object != m.namespace {
				assert.Equal(t, m.namespace.Name, o.GetNamespace(), o.GetName())
			}
		}
	})
}

// finds checks that the selector has labels and matches the set.
func finds(t *testing.T, selector *metav1.LabelSelector, set map[string]string) {
	t.Helper()
	require.NotNil(t, selector)
	require.NotEmpty(t, selector.MatchLabels)
	s, err := metav1.LabelSelectorAsSelector(selector)
	require.NoError(t, err)
	assert.True(t, s.Matches(labels.Set(set)), "%v does not match %v", s, set)
}

func TestSelectorsMatchTheirTargets(t *testing.T) {
	each(t, func(t *testing.T, m *manifests) {
		pod := m.deployment.Spec.Template.Labels
		finds(t, m.deployment.Spec.Selector, pod)
		finds(t, &metav1.LabelSelector{MatchLabels: m.service.Spec.Selector}, pod)
		finds(t, m.budget.Spec.Selector, pod)
		for _, policy := range m.policies {
			finds(t, &policy.Spec.PodSelector, pod)
		}
		for _, spread := range m.deployment.Spec.Template.Spec.TopologySpreadConstraints {
			finds(t, spread.LabelSelector, pod)
			assert.Equal(t, corev1.ScheduleAnyway, spread.WhenUnsatisfiable)
		}
		target := m.autoscaler.Spec.ScaleTargetRef
		assert.Equal(t, m.deployment.TypeMeta, metav1.TypeMeta{Kind: target.Kind, APIVersion: target.APIVersion})
		assert.Equal(t, m.deployment.Name, target.Name)
		assert.Equal(t, []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: m.settings.Name},
		}}}, m.container().EnvFrom)
		assert.NotEqual(t, "dicom-qr-gateway", m.settings.Name, "the name must change with the settings")
		if m.monitor != nil {
			finds(t, &m.monitor.Spec.Selector, m.service.Labels)
		}
	})
}

func TestScrapeJobIsThatOfTheAlertRules(t *testing.T) {
	m := render(t, nil)
	rules, err := os.ReadFile("../../samples/grafana/alerts.yml")
	require.NoError(t, err)
	job := m.service.Labels[m.monitor.Spec.JobLabel]
	assert.NotEmpty(t, job)
	jobs := regexp.MustCompile(`job="([^"]*)"`).FindAllStringSubmatch(string(rules), -1)
	require.NotEmpty(t, jobs)
	for _, found := range jobs {
		assert.Equal(t, job, found[1])
	}
}

func (m *manifests) probes() map[string]*corev1.Probe {
	c := m.container()
	return map[string]*corev1.Probe{"startup": c.StartupProbe, "readiness": c.ReadinessProbe, "liveness": c.LivenessProbe}
}

func TestPortsAgree(t *testing.T) {
	each(t, func(t *testing.T, m *manifests) {
		ports := m.container().Ports
		if m.stateful != nil {
			ports = slices.DeleteFunc(slices.Clone(ports), func(p corev1.ContainerPort) bool { return p.Name == "dicom" })
		}
		require.Len(t, ports, 1)
		port := ports[0]
		_, listen, err := net.SplitHostPort(m.settings.Data["LISTEN_ADDR"])
		require.NoError(t, err)
		assert.Equal(t, listen, strconv.Itoa(int(port.ContainerPort)))
		named := intstr.FromString(port.Name)
		for name, probe := range m.probes() {
			assert.Equal(t, named, probe.HTTPGet.Port, name)
		}
		require.Len(t, m.service.Spec.Ports, 1)
		assert.Equal(t, named, m.service.Spec.Ports[0].TargetPort)
		for _, policy := range m.policies {
			for _, rule := range policy.Spec.Ingress {
				require.Len(t, rule.Ports, 1)
				if policy.Name == storageSCPPolicy {
					assert.Equal(t, intstr.FromString("dicom"), *rule.Ports[0].Port)
					continue
				}
				assert.Equal(t, named, *rule.Ports[0].Port)
			}
		}
		if m.monitor != nil {
			require.Len(t, m.monitor.Spec.Endpoints, 1)
			assert.Equal(t, m.service.Spec.Ports[0].Name, m.monitor.Spec.Endpoints[0].Port)
		}
	})
}

const storageSCPPolicy = "dicom-qr-gateway-storage-scp"

// A PACS sends to the pod that asked: each pod has an AE title and a Service of its own, up to the largest number of pods.
func TestEachPodHasAnAETitleAndAServiceForPACS(t *testing.T) {
	m := render(t, nil, "storage-scp")
	require.NotNil(t, m.stateful)
	assert.Equal(t, m.service.Name, m.stateful.Spec.ServiceName)
	assert.Equal(t, appsv1.ParallelPodManagement, m.stateful.Spec.PodManagementPolicy)
	grace := *m.stateful.Spec.Template.Spec.TerminationGracePeriodSeconds
	assert.GreaterOrEqual(t, int64(m.stateful.Spec.MinReadySeconds), grace)
	require.Len(t, m.perPod, int(m.autoscaler.Spec.MaxReplicas))
	titles := map[string]bool{}
	for i, service := range m.perPod {
		pod := fmt.Sprintf("%s-%d", m.stateful.Name, i)
		assert.Equal(t, map[string]string{appsv1.StatefulSetPodNameLabel: pod}, service.Spec.Selector)
		assert.True(t, service.Spec.PublishNotReadyAddresses, "a draining pod still receives")
		assert.Equal(t, corev1.ServiceExternalTrafficPolicyLocal, service.Spec.ExternalTrafficPolicy, "the gateway sees the address of the PACS")
		require.Len(t, service.Spec.Ports, 1)
		assert.Equal(t, intstr.FromString("dicom"), service.Spec.Ports[0].TargetPort)
		title := m.environmentOf(i)["STORE_AE_TITLES"]
		assert.Equal(t, fmt.Sprintf("GATEWAY%d", i), title)
		assert.False(t, titles[title], "two pods have the same AE title")
		titles[title] = true
	}
	at := slices.IndexFunc(m.container().Ports, func(p corev1.ContainerPort) bool { return p.Name == "dicom" })
	require.GreaterOrEqual(t, at, 0)
	assert.Equal(t, ":"+strconv.Itoa(int(m.container().Ports[at].ContainerPort)), m.environment()["STORE_LISTEN_ADDR"])
	assert.NotContains(t, m.pacs.Data["pacs.yaml"], "move_destinations", "all pods read the same file")
	assert.NotContains(t, documents(t), "POD_INDEX", "it is no setting")
}

func TestProbesUseRoutesOfTheContract(t *testing.T) {
	text, err := os.ReadFile("../../openapi.yaml")
	require.NoError(t, err)
	var contract struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	require.NoError(t, yaml.Unmarshal(text, &contract))
	each(t, func(t *testing.T, m *manifests) {
		probes := m.probes()
		assert.Equal(t, "/health", probes["startup"].HTTPGet.Path)
		assert.Equal(t, "/health", probes["liveness"].HTTPGet.Path, "a draining gateway is alive")
		assert.Equal(t, "/ready", probes["readiness"].HTTPGet.Path)
		for _, probe := range probes {
			assert.Contains(t, contract.Paths[probe.HTTPGet.Path], "get")
		}
		if m.monitor != nil {
			assert.Contains(t, contract.Paths[m.monitor.Spec.Endpoints[0].Path], "get")
		}
	})
}

// environment returns the gateway's settings, in the first pod if they differ.
func (m *manifests) environment() map[string]string { return m.environmentOf(0) }

// environmentOf returns the settings in a pod of a StatefulSet.
func (m *manifests) environmentOf(pod int) map[string]string {
	all := maps.Clone(m.settings.Data)
	for _, variable := range m.container().Env {
		if from := variable.ValueFrom; from != nil {
			switch from.FieldRef.FieldPath {
			case "metadata.labels['" + appsv1.PodIndexLabel + "']": // POD_INDEX
			case "metadata.name":
				all[variable.Name] = fmt.Sprintf("%s-%d", m.deployment.Name, pod)
			}
			continue
		}
		all[variable.Name] = strings.ReplaceAll(variable.Value, "$(POD_INDEX)", strconv.Itoa(pod))
	}
	return all
}

func TestEveryVariableIsADocumentedSetting(t *testing.T) {
	known := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `[A-Z].*$").FindAllString(documents(t), -1) {
		for _, name := range regexp.MustCompile("`([A-Z][A-Z_]+)`").FindAllStringSubmatch(strings.Split(row, "|")[1], -1) {
			known[name[1]] = true
		}
	}
	require.Greater(t, len(known), 20)
	each(t, func(t *testing.T, m *manifests) {
		for name := range m.environment() {
			assert.True(t, known[name], name)
		}
	})
}

// documents returns the text of README.md and docs.
func documents(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	var all strings.Builder
	for _, file := range append(files, "../../README.md") {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		all.Write(text)
	}
	return all.String()
}

// sourceDuration returns a constant of the gateway's source, which declares it once.
func sourceDuration(t *testing.T, constant string) time.Duration {
	t.Helper()
	declaration := regexp.MustCompile(`(?m)^(?:const|\t)\s*` + constant + `\s+= (?:(\d+) \* )?time\.(Second|Millisecond)$`)
	units := map[string]string{"Second": "s", "Millisecond": "ms"}
	var values []string
	for _, root := range []string{"../../*.go", "../../server/*.go", "../../internal/*/*.go"} {
		files, err := filepath.Glob(root)
		require.NoError(t, err)
		for _, file := range files {
			source, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, found := range declaration.FindAllStringSubmatch(string(source), -1) {
				values = append(values, cmp.Or(found[1], "1")+units[found[2]])
			}
		}
	}
	require.Len(t, values, 1, "declarations of %s", constant)
	d, err := time.ParseDuration(values[0])
	require.NoError(t, err)
	return d
}

func (m *manifests) number(t *testing.T, setting string) int {
	t.Helper()
	n, err := strconv.Atoi(m.settings.Data[setting])
	require.NoError(t, err, setting)
	return n
}

func TestGracePeriodCoversTheDrain(t *testing.T) {
	m := render(t, nil)
	pod := m.deployment.Spec.Template.Spec
	wait := m.container().Lifecycle.PreStop.Sleep.Seconds
	assert.GreaterOrEqual(t, wait, int64(5), "every node removes the pod from the Service before the gateway gets its signal")
	end := sourceDuration(t, "shutdownTimeout") + sourceDuration(t, "logTimeout")
	drain := time.Duration(wait+int64(m.number(t, "DRAIN_TIMEOUT"))) * time.Second
	assert.Greater(t, time.Duration(*pod.TerminationGracePeriodSeconds)*time.Second, drain+end)
}

// A draining pod keeps its associations while its successor already takes requests.
func TestRolloutReplacesOnePodAtATime(t *testing.T) {
	m := render(t, nil)
	spec := m.deployment.Spec
	assert.Nil(t, spec.Replicas, "the autoscaler sets it: a rollout would reset it")
	assert.Equal(t, intstr.FromInt32(0), *spec.Strategy.RollingUpdate.MaxUnavailable)
	assert.Equal(t, intstr.FromInt32(1), *spec.Strategy.RollingUpdate.MaxSurge)
	grace := *spec.Template.Spec.TerminationGracePeriodSeconds
	assert.GreaterOrEqual(t, int64(spec.MinReadySeconds), grace, "otherwise the second pod stops while the first still drains")
	assert.Greater(t, *spec.ProgressDeadlineSeconds, spec.MinReadySeconds)

	assert.GreaterOrEqual(t, *m.autoscaler.Spec.MinReplicas, int32(2))
	assert.Equal(t, intstr.FromInt32(1), *m.budget.Spec.MaxUnavailable)
	assert.Equal(t, policyv1.AlwaysAllow, *m.budget.Spec.UnhealthyPodEvictionPolicy)
	down := m.autoscaler.Spec.Behavior.ScaleDown //nolint:misspell // Kubernetes spells it so.
	require.Len(t, down.Policies, 1)
	assert.Equal(t, int32(1), down.Policies[0].Value)
	assert.GreaterOrEqual(t, int64(down.Policies[0].PeriodSeconds), grace)
}

func TestAllPodsTogetherStayWithinTheLimitOfThePACS(t *testing.T) {
	m := render(t, nil)
	text, err := os.ReadFile(filepath.Join(samples, "settings.env"))
	require.NoError(t, err)
	stated := regexp.MustCompile(`# The PACS accepts (\d+) associations\. With (\d+) replicas, up to (\d+) pods run`).FindStringSubmatch(string(text))
	require.NotNil(t, stated, "settings.env shows the calculation")
	accepted, err := strconv.Atoi(stated[1])
	require.NoError(t, err)
	replicas := int(m.autoscaler.Spec.MaxReplicas)
	assert.Equal(t, strconv.Itoa(replicas), stated[2])
	pods := replicas + m.deployment.Spec.Strategy.RollingUpdate.MaxSurge.IntValue() + 1 // the one that drains
	assert.Equal(t, strconv.Itoa(pods), stated[3])
	assert.LessOrEqual(t, pods*m.number(t, "MAX_ASSOCIATIONS_PER_PACS"), accepted)
	assert.Greater(t, pods*(m.number(t, "MAX_ASSOCIATIONS_PER_PACS")+1), accepted, "the limit is the largest possible")
}

func TestNetworkPolicyAllowsOnlyTheNamedPACSAndNameServers(t *testing.T) {
	m := render(t, nil, optional...)
	assert.Equal(t, "false", m.settings.Data["AD_HOC_PACS"], "no other address is needed")
	assert.Equal(t, "dicom-qr-gateway-pacs", m.pacs.Name, "a changed file must not start a rollout")
	var file struct {
		PACS map[string]struct {
			Host string
			Port int
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(m.pacs.Data["pacs.yaml"]), &file))
	var hosts, allowed, reached, sending []string
	for _, pacs := range file.PACS {
		ip := net.ParseIP(pacs.Host)
		require.NotNil(t, ip, "the policy needs an address")
		hosts = append(hosts, pacs.Host+map[bool]string{true: "/32", false: "/128"}[ip.To4() != nil])
		allowed = append(allowed, hosts[len(hosts)-1]+" "+strconv.Itoa(pacs.Port))
	}
	var names []networkingv1.NetworkPolicyEgressRule
	for _, policy := range m.policies {
		if policy.Name == m.deployment.Name {
			assert.Equal(t, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}, policy.Spec.PolicyTypes)
		}
		for _, rule := range policy.Spec.Egress {
			require.NotEmpty(t, rule.To, "an empty list allows everything")
			for _, port := range rule.Ports {
				if port.Port.IntValue() == 53 {
					names = append(names, rule)
					continue
				}
				assert.Equal(t, corev1.ProtocolTCP, *port.Protocol)
				for _, peer := range rule.To {
					require.NotNil(t, peer.IPBlock)
					reached = append(reached, peer.IPBlock.CIDR+" "+port.Port.String())
				}
			}
		}
		for _, rule := range policy.Spec.Ingress {
			require.NotEmpty(t, rule.From, "an empty list allows everything")
			for _, peer := range rule.From {
				if policy.Name == storageSCPPolicy {
					require.NotNil(t, peer.IPBlock)
					sending = append(sending, peer.IPBlock.CIDR)
					continue
				}
				assert.NotEmpty(t, peer.NamespaceSelector.MatchLabels, "an empty selector is every namespace")
			}
		}
	}
	assert.ElementsMatch(t, allowed, reached)
	assert.ElementsMatch(t, hosts, sending, "the PACS may send to the storage SCP, and nobody else")
	require.Len(t, names, 2, "UDP and TCP")
	for _, rule := range names {
		require.Len(t, rule.To, 1)
		assert.Equal(t, "kube-system", rule.To[0].NamespaceSelector.MatchLabels[corev1.LabelMetadataName])
		assert.NotEmpty(t, rule.To[0].PodSelector.MatchLabels)
	}
}

// imageUser returns the numeric user and group of the image.
func imageUser(t *testing.T) string {
	t.Helper()
	dockerfile, err := os.ReadFile("../../Dockerfile")
	require.NoError(t, err)
	user := regexp.MustCompile(`(?m)^USER (\d+:\d+)$`).FindStringSubmatch(string(dockerfile))
	require.NotNil(t, user)
	return user[1]
}

func TestPodHasMinimalPrivileges(t *testing.T) {
	each(t, func(t *testing.T, m *manifests) {
		assert.Equal(t, "restricted", m.namespace.Labels["pod-security.kubernetes.io/enforce"])
		pod, c := m.deployment.Spec.Template.Spec, m.container()
		assert.False(t, *pod.AutomountServiceAccountToken)
		assert.False(t, *pod.EnableServiceLinks)
		assert.True(t, *pod.SecurityContext.RunAsNonRoot)
		assert.Equal(t, imageUser(t), fmt.Sprintf("%d:%d", *pod.SecurityContext.RunAsUser, *pod.SecurityContext.RunAsGroup))
		assert.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, pod.SecurityContext.SeccompProfile.Type)
		assert.False(t, *c.SecurityContext.AllowPrivilegeEscalation)
		assert.True(t, *c.SecurityContext.ReadOnlyRootFilesystem)
		assert.Equal(t, &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}, c.SecurityContext.Capabilities)
		assert.Equal(t, "dicom-qr-gateway:local", c.Image)

		spool := ""
		for _, volume := range pod.Volumes {
			if volume.EmptyDir != nil {
				assert.NotNil(t, volume.EmptyDir.SizeLimit)
				spool = volume.Name
				continue
			}
			if volume.ConfigMap != nil {
				assert.Equal(t, m.pacs.Name, volume.ConfigMap.Name, "holds no secrets")
				continue
			}
			require.NotNil(t, volume.Secret, volume.Name)
			assert.Equal(t, int32(0o440), *volume.Secret.DefaultMode, "readable by the pod's group")
		}
		assert.Positive(t, *pod.SecurityContext.FSGroup)
		for _, mount := range c.VolumeMounts {
			assert.Equal(t, mount.Name != spool, mount.ReadOnly, mount.Name)
			assert.True(t, slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name }))
		}
		assert.GreaterOrEqual(t, c.Resources.Limits.Memory().Value(), int64(128<<20), "what MAX_MEMORY needs at least")
	})
}

// A pod that is slow to start or busy is not killed, because that would interrupt its retrieves.
func TestProbesAllowForSlowPods(t *testing.T) {
	m := render(t, nil)
	length := func(p *corev1.Probe) time.Duration {
		return time.Duration(p.FailureThreshold*p.PeriodSeconds) * time.Second
	}
	assert.GreaterOrEqual(t, length(m.container().StartupProbe), 30*time.Second)
	assert.GreaterOrEqual(t, length(m.container().LivenessProbe), time.Minute)
	assert.LessOrEqual(t, length(m.container().ReadinessProbe), 10*time.Second)
}
