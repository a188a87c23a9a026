package deploy_test

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"
)

const chartDir = "helm/sluice"

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// object is a Kubernetes object of any kind.
type object interface{ meta.Object }

// newObject returns an empty object of the type that a manifest says it is of.
func newObject(kind meta.TypeMeta) object {
	switch kind.APIVersion + " " + kind.Kind {
	case "v1 ConfigMap":
		return new(core.ConfigMap)
	case "v1 Service":
		return new(core.Service)
	case "v1 ServiceAccount":
		return new(core.ServiceAccount)
	case "apps/v1 Deployment":
		return new(apps.Deployment)
	case "apps/v1 StatefulSet":
		return new(apps.StatefulSet)
	case "policy/v1 PodDisruptionBudget":
		return new(policy.PodDisruptionBudget)
	case "networking.k8s.io/v1 Ingress":
		return new(networking.Ingress)
	case "monitoring.coreos.com/v1 ServiceMonitor":
		return new(monitoring.ServiceMonitor)
	}
	return nil
}

// render renders the chart as helm template does, with the values put over its own. It
// returns an error if they break the chart's schema, and the objects by kind. A field that
// the type of an object does not have, and one that is there twice, fail the test.
func render(t *testing.T, c *chart.Chart, values map[string]any) (map[string]object, error) {
	t.Helper()
	options := chartutil.ReleaseOptions{Name: "live", Namespace: "apps", Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(c, values, options, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return nil, err
	}
	objects := map[string]object{}
	for name, text := range files {
		if path.Ext(name) != ".yaml" || strings.TrimSpace(text) == "" {
			continue
		}
		var kind meta.TypeMeta
		if err := yaml.Unmarshal([]byte(text), &kind); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		o := newObject(kind)
		if o == nil {
			t.Fatalf("%s is a %s of %s, which the test does not know", name, kind.Kind, kind.APIVersion)
		}
		if err := yaml.UnmarshalStrict([]byte(text), o); err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
		objects[kind.Kind] = o
	}
	return objects, nil
}

// choice is one way to set some of the values. They are put together by their first keys.
type choice struct {
	name   string
	values map[string]any
}

// choices are all ways to set the values that change what is rendered.
func choices() [][]choice {
	type v = map[string]any
	return [][]choice{
		{{"memory", v{"engine": "memory"}}, {"disk", v{"engine": "disk"}}, {"nats", v{"engine": "nats"}}},
		{
			{"no secret", v{}},
			{"keys", v{"auth": v{"existingSecret": "sluice-keys"}}},
			{"signing keys", v{"auth": v{"existingSecret": "sluice-keys", "apiKeysKey": "api", "signingKeysKey": "jwks.json"}}},
			{"signing secret", v{"auth": v{"existingSecret": "sluice-keys", "signingSecretKey": "hs256"}}},
			{"both", v{"auth": v{"existingSecret": "sluice-keys", "signingKeysKey": "jwks.json", "signingSecretKey": "hs256"}}},
		},
		{
			{"no urls", v{}},
			{"urls", v{"nats": v{"urls": []any{"nats://nats-0.nats:4222", "nats://nats-1.nats:4222"}}}},
			{"urls and creds", v{"nats": v{"urls": []any{"tls://nats:4222"}, "existingSecret": "nats", "credsKey": "sluice.creds"}}},
			{"creds alone", v{"nats": v{"urls": []any{"tls://nats:4222"}, "credsKey": "sluice.creds"}}},
			{"secret urls", v{"nats": v{"existingSecret": "nats", "urlsKey": "urls"}}},
		},
		{{"1 pod", v{}}, {"3 pods", v{"replicaCount": 3}}},
		{{"bare", v{}}, {"exposed", v{
			"ingress":        v{"enabled": true, "className": "nginx", "hosts": []any{"a.example.com", "*.b.example.com"}, "tls": []any{v{"secretName": "tls", "hosts": []any{"a.example.com"}}}},
			"serviceMonitor": v{"enabled": true, "labels": v{"release": "prometheus"}},
			"service":        v{"type": "LoadBalancer", "port": 8081, "annotations": v{"a": "b"}},
		}}},
		{{"plain", v{}}, {"tuned", v{
			"shutdown": v{"sleepSeconds": 0, "drainSeconds": 45}, "goMemLimit": "", "resources": v{},
			"settings": v{"max_streams": 100, "cors_origins": []any{"https://app.example.com"}, "replay_age": "1h"},
			"webhooks": v{"key": "webhooks.yaml", "allow": []any{"10.20.0.0/16"}},
			"env":      []any{v{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4318"}},
			"channels": v{"definitions": []any{}}, "podDisruptionBudget": v{"enabled": false},
			"podLabels": v{"team": "a"}, "podAnnotations": v{"note": "true"}, "nodeSelector": v{"disk": "ssd"}, "priorityClassName": "high",
			"tolerations": []any{v{"key": "k", "operator": "Exists"}}, "affinity": v{"nodeAffinity": v{}},
			"topologySpreadConstraints": []any{v{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}},
			"imagePullSecrets":          []any{v{"name": "registry"}}, "serviceAccount": v{"annotations": v{"role": "r"}},
			"disk": v{"storageClassName": "fast", "size": "1Ti", "annotations": v{"backup": "daily"}}, "image": v{"tag": "main"}, "nameOverride": "stream",
		}}},
	}
}

// valid reports whether the chart accepts a combination.
func valid(names []string) bool {
	engine, auth, nats, pods := names[0], names[1], names[2], names[3]
	switch {
	case auth == "no secret", auth == "both":
		return false
	case engine == "memory" && auth == "keys": // nothing would sign tokens
		return false
	case engine == "nats":
		return nats != "no urls" && nats != "creds alone"
	}
	return pods == "1 pod"
}

// TestChart renders the chart for every combination of values.
func TestChart(t *testing.T) {
	c := loadChart(t)
	rendered := 0
	var try func(left [][]choice, names []string, values map[string]any)
	try = func(left [][]choice, names []string, values map[string]any) {
		if len(left) > 0 {
			for _, o := range left[0] {
				merged := maps.Clone(values)
				maps.Copy(merged, o.values)
				try(left[1:], append(slices.Clone(names), o.name), merged)
			}
			return
		}
		t.Run(strings.Join(names, ", "), func(t *testing.T) {
			objects, err := render(t, c, values)
			if valid(names) != (err == nil) {
				t.Fatalf("the chart accepts it: %t, want %t: %v", err == nil, valid(names), err)
			}
			if err == nil {
				rendered++
				checkObjects(t, objects, names)
			}
		})
	}
	try(choices(), nil, map[string]any{})
	if rendered < 50 {
		t.Errorf("%d combinations were rendered", rendered)
	}
}

// pod returns the pod template and what selects its pods, and checks what depends on the
// kind that makes them.
func pod(t *testing.T, objects map[string]object, engine string) (core.PodTemplateSpec, *meta.LabelSelector, int32) {
	t.Helper()
	if engine == "disk" {
		s := objects["StatefulSet"].(*apps.StatefulSet)
		if s.Spec.ServiceName != objects["Service"].GetName() || len(s.Spec.VolumeClaimTemplates) != 1 {
			t.Errorf("the StatefulSet has the service %s and %d volumes", s.Spec.ServiceName, len(s.Spec.VolumeClaimTemplates))
		}
		return s.Spec.Template, s.Spec.Selector, *s.Spec.Replicas
	}
	d := objects["Deployment"].(*apps.Deployment)
	if want := map[string]apps.DeploymentStrategyType{"memory": apps.RecreateDeploymentStrategyType, "nats": apps.RollingUpdateDeploymentStrategyType}[engine]; d.Spec.Strategy.Type != want {
		t.Errorf("the strategy is %s, want %s", d.Spec.Strategy.Type, want)
	}
	return d.Spec.Template, d.Spec.Selector, *d.Spec.Replicas
}

// checkObjects checks that the objects of a release fit together.
func checkObjects(t *testing.T, objects map[string]object, names []string) {
	t.Helper()
	engine, exposed, tuned := names[0], names[4] == "exposed", names[5] == "tuned"
	want := []string{"ConfigMap", "Service", "ServiceAccount", map[bool]string{true: "StatefulSet", false: "Deployment"}[engine == "disk"]}
	if exposed {
		want = append(want, "Ingress", "ServiceMonitor")
	}
	if names[3] == "3 pods" && !tuned {
		want = append(want, "PodDisruptionBudget")
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(objects)); !slices.Equal(got, want) {
		t.Fatalf("the objects are %v, want %v", got, want)
	}
	for kind, o := range objects {
		if faults := validation.IsDNS1035Label(o.GetName()); len(faults) > 0 {
			t.Errorf("%s: the name %q: %v", kind, o.GetName(), faults)
		}
		for key, value := range o.GetLabels() {
			if faults := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...); len(faults) > 0 {
				t.Errorf("%s: the label %s=%s: %v", kind, key, value, faults)
			}
		}
	}
	template, selector, replicas := pod(t, objects, engine)
	if want := int32(1 + 2*strings.Count(names[3], "3")); replicas != want {
		t.Errorf("%d pods, want %d", replicas, want)
	}
	checkSelectors(t, objects, template.Labels, selector)
	checkPod(t, template, objects["ConfigMap"].(*core.ConfigMap))
	checkSecrets(t, template.Spec, names)
}

// checkSelectors checks that everything finds the pods, and the monitor the service.
func checkSelectors(t *testing.T, objects map[string]object, pod map[string]string, own *meta.LabelSelector) {
	t.Helper()
	selectors := map[string]*meta.LabelSelector{"of the pods": own, "of the Service": {MatchLabels: objects["Service"].(*core.Service).Spec.Selector}}
	if budget, ok := objects["PodDisruptionBudget"].(*policy.PodDisruptionBudget); ok {
		selectors["of the budget"] = budget.Spec.Selector
	}
	matches := func(name string, s *meta.LabelSelector, of map[string]string) {
		selector, err := meta.LabelSelectorAsSelector(s)
		if err != nil || selector.Empty() || !selector.Matches(labels.Set(of)) {
			t.Errorf("the selector %s is %v, %v, which does not match %v", name, s, err, of)
		}
	}
	for name, s := range selectors {
		matches(name, s, pod)
	}
	service := objects["Service"].(*core.Service)
	if monitor, ok := objects["ServiceMonitor"].(*monitoring.ServiceMonitor); ok {
		matches("of the monitor", &monitor.Spec.Selector, service.Labels)
		if e := monitor.Spec.Endpoints[0]; e.Port != service.Spec.Ports[0].Name || e.Path != "/metrics" {
			t.Errorf("the monitor asks %s%s", e.Port, e.Path)
		}
	}
	if ingress, ok := objects["Ingress"].(*networking.Ingress); ok {
		for _, rule := range ingress.Spec.Rules {
			if b := rule.HTTP.Paths[0].Backend.Service; b.Name != service.Name || b.Port.Name != service.Spec.Ports[0].Name {
				t.Errorf("the ingress leads to %v", b)
			}
		}
	}
}

// checkPod checks the pod: it is restricted, its probes ask what the server answers, and
// there is enough time for a shutdown.
func checkPod(t *testing.T, template core.PodTemplateSpec, config *core.ConfigMap) {
	t.Helper()
	spec := template.Spec
	c := spec.Containers[0]
	for name, probe := range map[string]*core.Probe{"/healthz": c.LivenessProbe, "/healthz ": c.StartupProbe, "/readyz": c.ReadinessProbe} {
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != strings.TrimSpace(name) || probe.HTTPGet.Port.String() != c.Ports[0].Name {
			t.Errorf("a probe of %s is %v", name, probe)
		}
	}
	var settings struct {
		DrainTimeout string `json:"drain_timeout"`
	}
	if err := yaml.Unmarshal([]byte(config.Data["sluice.yaml"]), &settings); err != nil {
		t.Fatalf("%v\n%s", err, config.Data["sluice.yaml"])
	}
	sleep := int64(0)
	if c.Lifecycle != nil {
		sleep = c.Lifecycle.PreStop.Sleep.Seconds
	}
	if drain := fmt.Sprintf("%ds", *spec.TerminationGracePeriodSeconds-sleep-10); settings.DrainTimeout != drain {
		t.Errorf("a drain may take %s, and the pod has %s for it", settings.DrainTimeout, drain)
	}
	if *spec.AutomountServiceAccountToken || *spec.EnableServiceLinks || !*spec.SecurityContext.RunAsNonRoot ||
		spec.SecurityContext.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault ||
		!*c.SecurityContext.ReadOnlyRootFilesystem || *c.SecurityContext.AllowPrivilegeEscalation || c.SecurityContext.Capabilities.Drop[0] != "ALL" {
		t.Errorf("the pod may do more than it needs: %+v, %+v", spec.SecurityContext, c.SecurityContext)
	}
	if template.Annotations["checksum/config"] == "" {
		t.Error("a changed configuration does not replace the pods")
	}
}

// checkSecrets checks that every mount has a volume, and that every path that the server
// is told lies in one of a secret or of the configuration.
func checkSecrets(t *testing.T, spec core.PodSpec, names []string) {
	t.Helper()
	c := spec.Containers[0]
	volumes := map[string]core.Volume{}
	for _, v := range spec.Volumes {
		volumes[v.Name] = v
	}
	from := map[string]string{} // the secret that is mounted on a directory
	for _, m := range c.VolumeMounts {
		v, found := volumes[m.Name]
		if !found && m.Name != "data" {
			t.Errorf("there is no volume for %s", m.MountPath)
		}
		if v.Secret != nil {
			from[m.MountPath] = v.Secret.SecretName
		}
	}
	files := map[string]string{}
	for _, e := range c.Env {
		if strings.HasSuffix(e.Name, "_FILE") {
			files[e.Name] = from[path.Dir(e.Value)] + "/" + path.Base(e.Value)
		}
	}
	want := map[string]string{"SLUICE_API_KEYS_FILE": "sluice-keys/api_keys"}
	switch names[1] {
	case "signing keys":
		want["SLUICE_API_KEYS_FILE"] = "sluice-keys/api"
	case "signing secret":
		want["SLUICE_SIGNING_SECRET_FILE"] = "sluice-keys/hs256"
	}
	if names[0] == "nats" && names[2] == "secret urls" {
		want["SLUICE_NATS_FILE"] = "nats/urls"
	}
	if !maps.Equal(files, want) {
		t.Errorf("the files of secrets are %v, want %v", files, want)
	}
}

// TestChart_lint runs helm lint.
func TestChart_lint(t *testing.T) {
	values := map[string]any{"auth": map[string]any{"existingSecret": "s"}}
	result := lint.AllWithKubeVersion(chartDir, values, "apps", nil)
	for _, m := range result.Messages {
		if m.Severity >= support.WarningSev {
			t.Error(m)
		}
	}
}

// TestChart_refuses tries values that would start no server, or one that nobody reaches.
func TestChart_refuses(t *testing.T) {
	type v = map[string]any
	c := loadChart(t)
	for name, values := range map[string]v{
		"a value that there is not":        {"replicas": 3},
		"an engine that there is not":      {"engine": "redis"},
		"a setting that the chart makes":   {"settings": v{"listen": ":9090"}},
		"a drain that is no number":        {"shutdown": v{"drainSeconds": "20s"}},
		"an ingress without a host":        {"ingress": v{"enabled": true}},
		"a URL that is none":               {"engine": "nats", "nats": v{"urls": []any{"nats:4222"}}},
		"a memory limit that Go refuses":   {"goMemLimit": "1G"},
		"networks without webhooks":        {"webhooks": v{"allow": []any{"10.0.0.0/8"}}},
		"a variable that is a setting":     {"env": []any{v{"name": "SLUICE_LISTEN", "value": ":1"}}},
		"a variable of the chart":          {"env": []any{v{"name": "GOMEMLIMIT", "value": "1GiB"}}},
		"a name of a setting that is none": {"settings": v{"max-streams": 1}},
	} {
		if _, exists := values["auth"]; !exists {
			values["auth"] = v{"existingSecret": "s"}
		}
		if _, err := render(t, c, values); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// TestChart_version compares the chart with the package.
func TestChart_version(t *testing.T) {
	var npm struct{ Version string }
	if err := yaml.Unmarshal([]byte(file(t, "../web/package.json")), &npm); err != nil {
		t.Fatal(err)
	}
	if m := loadChart(t).Metadata; m.AppVersion != npm.Version || m.Version != npm.Version {
		t.Errorf("the chart is version %s of %s, web/package.json says %s", m.Version, m.AppVersion, npm.Version)
	}
}

// TestChart_runs starts the server as a pod of each engine does, with the same arguments,
// variables and files. Only paths and the address are other ones.
func TestChart_runs(t *testing.T) {
	type v = map[string]any
	for name, values := range map[string]v{
		"memory": {"engine": "memory", "auth": v{"existingSecret": "s", "signingSecretKey": "hs256"}, "settings": v{"max_streams": 7, "cors_origins": []any{"https://a.example.com"}}},
		"disk": {
			"engine": "disk", "auth": v{"existingSecret": "s"}, "channels": v{"channels": []any{}},
			"webhooks": v{"key": "webhooks.yaml", "allow": []any{"127.0.0.0/8"}}, "env": []any{v{"name": "OTEL_SDK_DISABLED", "value": "true"}},
		},
		"nats": {"engine": "nats", "replicaCount": 2, "auth": v{"existingSecret": "s"}, "nats": v{"urls": []any{"nats://127.0.0.1:1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := render(t, loadChart(t), values)
			if err != nil {
				t.Fatal(err)
			}
			template, _, _ := pod(t, objects, name)
			root := t.TempDir()
			write := func(name, text string) {
				full := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			in := strings.NewReplacer("/etc/sluice/", root+"/etc/sluice/", "/run/secrets/", root+"/run/secrets/", "/data", root+"/data", `":8080"`, `"127.0.0.1:0"`).Replace
			for file, text := range objects["ConfigMap"].(*core.ConfigMap).Data {
				write("etc/sluice/"+file, in(text))
			}
			write("run/secrets/sluice/api_keys", testKey)
			write("run/secrets/sluice/webhooks.yaml", "webhooks: [{url: http://127.0.0.1:1/, secret: whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD}]")
			write("run/secrets/sluice/hs256", strings.Repeat("s", 32))
			c := template.Spec.Containers[0]
			var args, environ []string
			for _, arg := range c.Args {
				args = append(args, in(arg))
			}
			for _, e := range c.Env {
				environ = append(environ, e.Name+"="+in(e.Value))
			}
			if name == "nats" { // which is not there: everything else was accepted
				s := run(t, environ, args...)
				if err := s.wait(t); err == nil || s.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(s.out.String(), "connecting to [nats://127.0.0.1:1]") {
					t.Errorf("the server ended with %v:\n%s", err, s.out)
				}
				return
			}
			s := start(t, environ, args...)
			s.call(t, 200, "GET", c.ReadinessProbe.HTTPGet.Path, "")
			s.call(t, 200, "GET", c.LivenessProbe.HTTPGet.Path, "")
			s.call(t, 201, "POST", "/v1/publish/a/t", "1")
			if told := s.call(t, 200, "GET", "/v1/webhooks", ""); strings.Contains(told, "127.0.0.1:1") != (name == "disk") {
				t.Errorf("webhooks: %s", told)
			}
			s.drain(t)
		})
	}
}
