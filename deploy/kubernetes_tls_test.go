package deploy_test

import (
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Of cert-manager's kinds what the manifests use. Its module would bring dependencies into the workspace that all else would be
// built with.
type (
	certificate struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`

		Spec struct {
			CommonName string          `json:"commonName"`
			DNSNames   []string        `json:"dnsNames"`
			Usages     []string        `json:"usages"`
			IsCA       bool            `json:"isCA"`
			SecretName string          `json:"secretName"`
			Duration   metav1.Duration `json:"duration"`
			PrivateKey struct {
				Algorithm string `json:"algorithm"`
				Size      int    `json:"size"`
			} `json:"privateKey"`
			IssuerRef struct {
				Kind string `json:"kind"`
				Name string `json:"name"`
			} `json:"issuerRef"`
		} `json:"spec"`
	}
	issuer struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`

		Spec struct {
			SelfSigned *struct{} `json:"selfSigned"`
			CA         *struct {
				SecretName string `json:"secretName"`
			} `json:"ca"`
		} `json:"spec"`
	}
)

const (
	serverAuth, clientAuth = "server auth", "client auth"
	root, internal         = "internal-root", "internal"
)

// Every certificate is of the one authority, which is a root of its own.
func TestKubernetesAuthority(t *testing.T) {
	t.Parallel()

	objects := render(t)
	issuers := of[*issuer](objects)
	require.Len(t, issuers, 2)
	require.NotNil(t, issuers[root].Spec.SelfSigned)
	for name, c := range of[*certificate](objects) {
		require.Equal(t, "Issuer", c.Spec.IssuerRef.Kind, name)
		require.Equal(t, "ECDSA", c.Spec.PrivateKey.Algorithm, name)
		if c.Spec.IsCA {
			require.Equal(t, root, c.Spec.IssuerRef.Name, name)
			require.Equal(t, c.Spec.SecretName, issuers[internal].Spec.CA.SecretName)
			continue
		}
		require.Equal(t, internal, c.Spec.IssuerRef.Name, name)
		require.NotEmpty(t, c.Spec.DNSNames, name)
	}
}

// Whoever is called shows a certificate with the name that it is called by, and whoever calls one that is good for that. No
// address is plain HTTP.
func TestKubernetesTLS(t *testing.T) {
	t.Parallel()

	objects := render(t)
	all := pods(objects)
	for name, pod := range all {
		c := pod.Spec.Containers[0]
		for _, v := range c.Env {
			require.NotContains(t, v.Value, "http://", "%s: %s", name, v.Name)
			if strings.HasPrefix(v.Value, "/etc/") {
				require.True(t, mounted(c, v.Value), "%s: %s", name, v.Name)
			}
		}
		for _, from := range c.EnvFrom {
			for variable, value := range of[*corev1.ConfigMap](objects)[from.ConfigMapRef.Name].Data {
				require.NotContains(t, value, "http://", variable)
				if strings.HasPrefix(value, "/etc/") {
					require.True(t, mounted(c, value), "%s: %s", name, variable)
				}
			}
		}
	}
	listens := []string{"AMENDS_TLS_CERT", "AMENDS_TLS_CLIENT_CA", "AMENDS_TLS_KEY"}
	for name, want := range map[string]struct{ usages, variables []string }{
		"api":           {[]string{serverAuth}, listens},
		"services":      {[]string{serverAuth}, listens},
		"worker-v1-0-0": {[]string{serverAuth, clientAuth}, []string{"AMENDS_SERVICES_CA", "AMENDS_SERVICES_CERT", "AMENDS_SERVICES_KEY"}},
	} {
		c := all[name].Spec.Containers[0]
		own := ownCertificate(t, objects, all[name])
		require.Subset(t, own.Spec.Usages, want.usages, name)
		variables := environmentOfContainer(c)
		for _, v := range append(want.variables, "AMENDS_OPS_TLS_CERT", "AMENDS_OPS_TLS_KEY") {
			require.Contains(t, variables, v, name)
		}
		require.NotContains(t, variables, "AMENDS_OPS_TLS_CLIENT_CA", "%s: probes show no certificate", name)
		for _, probe := range []*corev1.Probe{c.ReadinessProbe, c.LivenessProbe, c.StartupProbe} {
			require.Equal(t, corev1.URISchemeHTTPS, probe.HTTPGet.Scheme, name)
		}
	}

	services, err := url.Parse(environmentOfContainer(all["worker-v1-0-0"].Spec.Containers[0])["AMENDS_SERVICES_URL"].Value)
	require.NoError(t, err)
	require.Equal(t, "https", services.Scheme)
	require.Contains(t, of[*corev1.Service](objects), services.Hostname())
	require.Contains(t, ownCertificate(t, objects, all["services"]).Spec.DNSNames, services.Hostname())

	const nginx = "nginx.ingress.kubernetes.io/"
	ingress := of[*networkingv1.Ingress](objects)["api"].Annotations
	require.Equal(t, "HTTPS", ingress[nginx+"backend-protocol"])
	require.Equal(t, "on", ingress[nginx+"proxy-ssl-verify"])
	require.Equal(t, "TLSv1.3", ingress[nginx+"proxy-ssl-protocols"], "the API speaks no other")
	require.Contains(t, ownCertificate(t, objects, all["api"]).Spec.DNSNames, ingress[nginx+"proxy-ssl-name"])
	shown := of[*certificate](objects)["ingress"]
	require.Equal(t, shown.Namespace+"/"+shown.Spec.SecretName, ingress[nginx+"proxy-ssl-secret"])
	require.Contains(t, shown.Spec.Usages, clientAuth)
}

// Secrets are made by cert-manager, or are those that docs/production.md tells to make.
func TestKubernetesSecretsAreMade(t *testing.T) {
	t.Parallel()

	objects := render(t)
	made := []string{"amends-authorities", "amends-keys", "amends-temporal-tls"}
	for _, c := range of[*certificate](objects) {
		made = append(made, c.Spec.SecretName)
	}
	used := map[string]string{}
	for name, pod := range pods(objects) {
		for _, v := range pod.Spec.Volumes {
			require.Contains(t, made, v.Secret.SecretName, name)
			if strings.HasPrefix(v.Secret.SecretName, "internal-") {
				require.Empty(t, used[v.Secret.SecretName], "%s: a certificate of its own", name)
				used[v.Secret.SecretName] = name
			}
		}
	}
	require.NotContains(t, used, "internal-ca", "the key that signs is nobody's but cert-manager's")
}

// mounted tells whether a file of the container is in a volume.
func mounted(c corev1.Container, file string) bool {
	return slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == path.Dir(file) })
}

// ownCertificate is the one that the pod's processes show.
func ownCertificate(t *testing.T, objects []object, pod corev1.PodTemplateSpec) *certificate {
	t.Helper()
	i := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == "tls" })
	require.GreaterOrEqual(t, i, 0)
	for _, c := range of[*certificate](objects) {
		if c.Spec.SecretName == pod.Spec.Volumes[i].Secret.SecretName {
			return c
		}
	}
	require.Fail(t, "nobody makes it", pod.Spec.Volumes[i].Secret.SecretName)
	return nil
}
