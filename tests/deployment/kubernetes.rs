//! Checks the Kubernetes manifest in `docs/kubernetes.md` against the types of the API, the compose
//! file and the settings of the programs.

use std::{collections::BTreeMap, fmt::Debug, time::Duration};

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{Container, Service},
};
use serde_json::{Value, json};

use crate::{
    SERVICES, UID,
    compose::{self, compose},
    settings,
    tree::read,
};

/// Returns the YAML blocks of the page, each with its documents.
fn blocks() -> Vec<Vec<Value>> {
    let page = read("docs/kubernetes.md");
    let blocks = page.split("```yaml\n").skip(1);
    let blocks = blocks.map(|block| block.split_once("```").unwrap().0);
    blocks
        .map(|block| serde_saphyr::from_multiple(block).unwrap())
        .collect()
}

fn manifest() -> (Value, Value) {
    let documents = blocks().swap_remove(0);
    let [service, set] = documents.try_into().unwrap();
    (service, set)
}

fn pod() -> Value {
    manifest().1["spec"]["template"]["spec"].clone()
}

/// Returns the container with this name.
fn container(name: &str) -> Value {
    let pod = pod();
    let all = ["initContainers", "containers"].map(|kind| pod[kind].as_array().unwrap().clone());
    let mut found = all.into_iter().flatten();
    found.find(|container| container["name"] == name).unwrap()
}

/// Returns the backup container, which has a separate block.
fn backup() -> Value {
    blocks()[1][0].clone()
}

fn containers() -> Vec<Value> {
    let names = ["migrator", "user-service", "post-service"];
    let mut all: Vec<_> = names.map(container).into();
    all.push(backup());
    all
}

fn environment(container: &Value) -> BTreeMap<String, String> {
    let variables = container["env"].as_array().unwrap().iter();
    let pairs = variables.map(|variable| {
        let text = |field: &str| variable[field].as_str().unwrap().to_owned();
        (text("name"), text("value"))
    });
    pairs.collect()
}

/// Asserts that a value parses as the type and has no field that the type does not know.
fn assert_parses_as<T>(value: &Value)
where
    T: serde::de::DeserializeOwned + serde::Serialize + Debug,
{
    let typed: T = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(&typed).unwrap(), *value);
}

#[test]
fn manifest_has_only_fields_of_the_api() {
    let (service, set) = manifest();

    assert_parses_as::<Service>(&service);
    assert_parses_as::<StatefulSet>(&set);
    assert_parses_as::<Container>(&backup());
}

#[test]
fn one_pod_runs_migrator_then_services_on_one_volume() {
    let (_, set) = manifest();
    let names = |kind: &str| -> Vec<_> {
        let containers = pod()[kind].as_array().unwrap().clone();
        containers.iter().map(|c| c["name"].clone()).collect()
    };
    let claims = &set["spec"]["volumeClaimTemplates"];

    assert_eq!(set["spec"]["replicas"], 1);
    assert_eq!(names("initContainers"), ["migrator"]);
    assert_eq!(names("containers"), ["user-service", "post-service"]);
    assert_eq!(claims.as_array().unwrap().len(), 1);
    assert_eq!(
        claims[0]["spec"]["accessModes"],
        json!(["ReadWriteOncePod"])
    );
    for container in containers() {
        let mounts = &container["volumeMounts"];
        let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path});
        assert_eq!(
            *mounts,
            json!([mount("data", "/data"), mount("tmp", "/tmp")])
        );
    }
}

#[test]
fn containers_are_hardened_as_with_compose() {
    let (pod, compose) = (pod(), compose());
    let context = &pod["securityContext"];

    assert_eq!(context["runAsNonRoot"], true);
    for field in ["runAsUser", "runAsGroup", "fsGroup"] {
        assert_eq!(context[field], UID, "{field}");
    }
    assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["enableServiceLinks"], false);
    assert_eq!(pod["volumes"][0]["emptyDir"]["medium"], "Memory");
    for container in containers() {
        let name = container["name"].as_str().unwrap();
        let context = &container["securityContext"];
        let limits = &container["resources"]["limits"];
        let other = &compose["services"][name];

        assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(
            context["capabilities"],
            json!({"drop": other["cap_drop"]}),
            "{name}"
        );
        let memory = other["mem_limit"].as_str().unwrap().replace('m', "Mi");
        assert_eq!(limits["memory"], memory, "{name}");
        let cpus: f64 = limits["cpu"].as_str().unwrap().parse().unwrap();
        assert!(
            (cpus - other["cpus"].as_f64().unwrap()).abs() < 0.001,
            "{name}"
        );
    }
}

#[test]
fn variables_are_settings_with_the_values_of_compose() {
    let compose = compose();

    for container in containers() {
        let name = container["name"].as_str().unwrap();
        let program = if name == "backup" { "migrator" } else { name };
        let other = compose::environment(&compose["services"][name]);

        for (variable, value) in environment(&container) {
            assert!(settings::reads(program, &variable), "{name}: {variable}");
            // The service address differs.
            if variable != "USER_SERVICE_URL" {
                assert_eq!(Some(&value), other.get(&variable), "{name}: {variable}");
            }
        }
    }
}

#[test]
fn probes_use_the_port_and_name_of_the_service() {
    let names = [user_service::NAME, post_service::NAME];

    for ((service, port), full_name) in SERVICES.into_iter().zip(names) {
        let container = container(service);
        let variable = service.replace('-', "_").to_uppercase() + "_LISTEN";

        assert_eq!(
            environment(&container)[&variable],
            format!("0.0.0.0:{port}")
        );
        assert_eq!(container["ports"][0]["containerPort"], port);
        for kind in ["startupProbe", "readinessProbe", "livenessProbe"] {
            let probe = &container[kind];
            assert_eq!(
                probe["grpc"],
                json!({"port": port, "service": full_name}),
                "{kind}"
            );
            assert!(probe["timeoutSeconds"].as_u64() >= Some(1), "{kind}");
        }
    }
}

#[test]
fn kubelet_timeouts_cover_startup_and_drain() {
    let pod = pod();
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();

    for (service, _) in SERVICES {
        let container = container(service);
        let environment = environment(&container);
        let probe = &container["startupProbe"];
        let tries = ["periodSeconds", "failureThreshold"].map(|f| probe[f].as_u64().unwrap());
        let starts = Duration::from_secs(tries[0] * tries[1]);

        assert!(Duration::from_secs(grace) > settings::drain(service, &environment));
        assert!(starts >= settings::database_startup_timeout(service, &environment));
    }
}

#[test]
fn services_are_published_on_their_ports() {
    let (service, set) = manifest();
    let labels = &set["spec"]["template"]["metadata"]["labels"];

    assert_eq!(service["spec"]["selector"], *labels);
    assert_eq!(set["spec"]["selector"]["matchLabels"], *labels);
    for (index, (name, port)) in SERVICES.into_iter().enumerate() {
        let published = &service["spec"]["ports"][index];

        assert_eq!(published["port"], port);
        assert_eq!(published["targetPort"], container(name)["ports"][0]["name"]);
    }
}

#[test]
fn container_arguments_match_compose() {
    let compose = compose();

    for container in [container("migrator"), backup()] {
        let name = container["name"].as_str().unwrap();
        assert_eq!(
            container["args"], compose["services"][name]["command"],
            "{name}"
        );
    }
}
