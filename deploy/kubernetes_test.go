package deploy_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// kinds are those that the manifests may have, each by its type in Kubernetes.
var kinds = map[string]func() any{
	"apps/v1/Deployment":                     func() any { return &appsv1.Deployment{} },
	"apps/v1/StatefulSet":                    func() any { return &appsv1.StatefulSet{} },
	"autoscaling/v2/HorizontalPodAutoscaler": func() any { return &autoscalingv2.HorizontalPodAutoscaler{} },
	"cert-manager.io/v1/Certificate":         func() any { return &certificate{} },
	"cert-manager.io/v1/Issuer":              func() any { return &issuer{} },
	"batch/v1/Job":                           func() any { return &batchv1.Job{} },
	"networking.k8s.io/v1/Ingress":           func() any { return &networkingv1.Ingress{} },
	"networking.k8s.io/v1/NetworkPolicy":     func() any { return &networkingv1.NetworkPolicy{} },
	"policy/v1/PodDisruptionBudget":          func() any { return &policyv1.PodDisruptionBudget{} },
	"v1/ConfigMap":                           func() any { return &corev1.ConfigMap{} },
	"v1/Namespace":                           func() any { return &corev1.Namespace{} },
	"v1/Service":                             func() any { return &corev1.Service{} },
	"v1/ServiceAccount":                      func() any { return &corev1.ServiceAccount{} },
}

// object is what the tests need of every object.
type object struct {
	kind, name, namespace string
	labels                map[string]string
	value                 any
}

// render renders the example of an overlay as `kubectl kustomize` does. A field that Kubernetes does not know, or of another type, is an error.
func render(t *testing.T) []object {
	t.Helper()
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "kubernetes/overlays/production")
	require.NoError(t, err)
	var objects []object
	for _, r := range rendered.Resources() {
		text, err := r.AsYAML()
		require.NoError(t, err)
		id := r.GetApiVersion() + "/" + r.GetKind()
		require.Contains(t, kinds, id)
		value := kinds[id]()
		require.NoError(t, yaml.UnmarshalStrict(text, value), "%s %s:\n%s", id, r.GetName(), text)
		objects = append(objects, object{r.GetKind(), r.GetName(), r.GetNamespace(), r.GetLabels(), value})
	}
	return objects
}

// pods are the pods that the objects make, by the name of their maker.
func pods(objects []object) map[string]corev1.PodTemplateSpec {
	all := map[string]corev1.PodTemplateSpec{}
	for _, o := range objects {
		switch v := o.value.(type) {
		case *appsv1.Deployment:
			all[o.name] = v.Spec.Template
		case *appsv1.StatefulSet:
			all[o.name] = v.Spec.Template
		case *batchv1.Job:
			all[o.name] = v.Spec.Template
		}
	}
	return all
}

func of[T any](objects []object) map[string]T {
	all := map[string]T{}
	for _, o := range objects {
		if v, ok := o.value.(T); ok {
			all[o.name] = v
		}
	}
	return all
}

func TestKubernetesPodsAreConfined(t *testing.T) {
	t.Parallel()

	objects := render(t)
	all := pods(objects)
	require.Len(t, all, 4)
	for name, pod := range all {
		spec := pod.Spec
		require.False(t, *spec.AutomountServiceAccountToken, name)
		require.Equal(t, "amends", spec.ServiceAccountName, name)
		require.False(t, spec.HostNetwork || spec.HostPID || spec.HostIPC, name)
		require.True(t, *spec.SecurityContext.RunAsNonRoot, name)
		require.Equal(t, int64(65532), *spec.SecurityContext.RunAsUser, name)
		require.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, spec.SecurityContext.SeccompProfile.Type, name)
		require.Empty(t, spec.InitContainers, name)
		require.Len(t, spec.Containers, 1, name)
		c := spec.Containers[0]
		require.Equal(t, "registry.example/amends:v1.0.0", c.Image, name)
		require.False(t, *c.SecurityContext.AllowPrivilegeEscalation, name)
		require.True(t, *c.SecurityContext.ReadOnlyRootFilesystem, name)
		require.Equal(t, []corev1.Capability{"ALL"}, c.SecurityContext.Capabilities.Drop, name)
		require.Empty(t, c.SecurityContext.Capabilities.Add, name)
		require.False(t, c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero(), name)
		require.False(t, c.Resources.Limits.Memory().IsZero(), name)
		for _, v := range spec.Volumes {
			require.NotNil(t, v.Secret, "%s: %s", name, v.Name)
			require.Zero(t, *v.Secret.DefaultMode&0o027, "%s: others could read %s", name, v.Name)
		}
		if spec.RestartPolicy == corev1.RestartPolicyOnFailure {
			continue // a job ends
		}
		require.Equal(t, "/readyz", c.ReadinessProbe.HTTPGet.Path, name)
		require.Equal(t, "/healthz", c.LivenessProbe.HTTPGet.Path, "%s: to restart it when Temporal is away helps nobody", name)
		require.Equal(t, "/healthz", c.StartupProbe.HTTPGet.Path, name)
		for _, probe := range []*corev1.Probe{c.ReadinessProbe, c.LivenessProbe, c.StartupProbe} {
			i := slices.IndexFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == probe.HTTPGet.Port.String() })
			require.GreaterOrEqual(t, i, 0, name)
			require.Equal(t, fmt.Sprintf(":%d", c.Ports[i].ContainerPort), environmentOfContainer(c)["AMENDS_OPS_ADDR"].Value, name)
		}
	}
	for _, o := range objects {
		if o.kind == "Namespace" {
			require.Equal(t, "restricted", o.labels["pod-security.kubernetes.io/enforce"])
		} else {
			require.Equal(t, "amends", o.namespace, "%s %s", o.kind, o.name)
		}
	}
}

func environmentOfContainer(c corev1.Container) map[string]corev1.EnvVar {
	all := map[string]corev1.EnvVar{}
	for _, v := range c.Env {
		all[v.Name] = v
	}
	return all
}

// What selects pods selects some, and what they name is there.
func TestKubernetesObjectsFitTogether(t *testing.T) {
	t.Parallel()

	objects := render(t)
	all := pods(objects)
	selected := func(labels map[string]string) []string {
		var names []string
		for name, pod := range all {
			matches := true
			for key, value := range labels {
				matches = matches && pod.Labels[key] == value
			}
			if matches {
				names = append(names, name)
			}
		}
		return names
	}
	for name, s := range of[*corev1.Service](objects) {
		makers := selected(s.Spec.Selector)
		require.Len(t, makers, 1, name)
		for _, port := range s.Spec.Ports {
			require.True(t, slices.ContainsFunc(all[makers[0]].Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool {
				return p.Name == port.TargetPort.String()
			}), name)
		}
	}
	budgets := of[*policyv1.PodDisruptionBudget](objects)
	require.Len(t, budgets, 2)
	for name, b := range budgets {
		require.Equal(t, []string{name}, selected(b.Spec.Selector.MatchLabels))
	}
	for name, d := range of[*appsv1.Deployment](objects) {
		require.Equal(t, []string{name}, selected(d.Spec.Selector.MatchLabels), "a version's pods are its own")
		require.Len(t, d.Spec.Template.Spec.TopologySpreadConstraints, 2, name)
		require.Zero(t, d.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue(), name)
	}
	policies := of[*networkingv1.NetworkPolicy](objects)
	for name, p := range policies {
		if len(p.Spec.PodSelector.MatchLabels) > 0 {
			require.NotEmpty(t, selected(p.Spec.PodSelector.MatchLabels), name)
		}
		for _, expression := range p.Spec.PodSelector.MatchExpressions {
			for _, value := range expression.Values {
				require.NotEmpty(t, selected(map[string]string{expression.Key: value}), "%s: %s", name, value)
			}
		}
	}
	require.Len(t, selected(policies["nothing"].Spec.PodSelector.MatchLabels), len(all), "all begin with nothing")
	for name, scaler := range of[*autoscalingv2.HorizontalPodAutoscaler](objects) {
		target := of[*appsv1.Deployment](objects)[scaler.Spec.ScaleTargetRef.Name]
		require.NotNil(t, target, name)
		require.Nil(t, target.Spec.Replicas, "an apply would undo what the autoscaler did")
	}
	for name, ingress := range of[*networkingv1.Ingress](objects) {
		require.NotEmpty(t, ingress.Spec.TLS, name)
		backend := ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service
		require.Contains(t, of[*corev1.Service](objects), backend.Name)
	}
	for name, pod := range all {
		for _, from := range pod.Spec.Containers[0].EnvFrom {
			require.Contains(t, of[*corev1.ConfigMap](objects), from.ConfigMapRef.Name, name)
		}
	}
}

// Secrets are named, never there; and every variable of ours is one that the command knows.
func TestKubernetesEnvironment(t *testing.T) {
	t.Parallel()

	objects := render(t)
	require.Empty(t, of[*corev1.Secret](objects))
	secretive := regexp.MustCompile(`(?i)password|secret|token|dsn`)
	for name, pod := range pods(objects) {
		c := pod.Spec.Containers[0]
		known := variables(t, c.Args[0])
		for _, v := range c.Env {
			if secretive.MatchString(v.Name) {
				require.NotNil(t, v.ValueFrom.SecretKeyRef, "%s: %s", name, v.Name)
			}
			if strings.HasPrefix(v.Name, "AMENDS_") {
				require.Contains(t, known, v.Name, name)
			}
		}
	}
	worker := pods(objects)["worker-v1-0-0"]
	require.Equal(t, "v1.0.0", worker.Labels["app.kubernetes.io/version"])
	build := environmentOfContainer(worker.Spec.Containers[0])["AMENDS_BUILD_ID"]
	require.Equal(t, "metadata.labels['app.kubernetes.io/version']", build.ValueFrom.FieldRef.FieldPath)
}
