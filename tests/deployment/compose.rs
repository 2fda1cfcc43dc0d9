//! Reads the compose file as the engine does, with merged anchors and the defaults of its
//! variables, and checks it by the rules of [`rules`].

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use crate::{SERVICES, rules, settings, tree::read};

/// Returns the compose file.
pub fn compose() -> Value {
    parse(&read("docker-compose.yml"))
}

fn parse(text: &str) -> Value {
    resolved(serde_saphyr::from_str(text).unwrap())
}

/// Replaces each `${NAME:-default}` in a value by its default.
fn resolved(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(with_defaults(&text)),
        Value::Array(items) => items.into_iter().map(resolved).collect(),
        Value::Object(fields) => {
            let fields = fields
                .into_iter()
                .map(|(key, value)| (key, resolved(value)));
            Value::Object(fields.collect())
        }
        other => other,
    }
}

fn with_defaults(text: &str) -> String {
    let mut rest = text;
    let mut whole = String::new();
    while let Some((before, after)) = rest.split_once("${") {
        let (variable, after) = after.split_once('}').unwrap();
        let default = variable.split_once(":-").map_or("", |(_, default)| default);
        whole += before;
        whole += default;
        rest = after;
    }
    whole + rest
}

/// Returns the environment variables of a container.
pub fn environment(service: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let fields = service["environment"].as_object();
    let fields = fields.into_iter().flatten();
    fields
        .map(|(name, value)| (name.clone(), text(value)))
        .collect()
}

/// Parses a duration in compose syntax.
pub fn duration(value: &Value) -> Option<Duration> {
    chassis::process::settings::duration_or_zero(value.as_str()?).ok()
}

/// Services, and the fields that they need because a rule checks them. A dot separates nested
/// fields.
const FIELDS: [(&[&str], &[&str]); 5] = [
    (
        // All containers.
        &[
            "user-service",
            "post-service",
            "migrator",
            "backup",
            "litestream",
        ],
        &[
            "read_only",
            "tmpfs",
            "cap_drop",
            "security_opt",
            "mem_limit",
            "pids_limit",
            "ulimits",
            "ulimits.nofile",
            "cpus",
            "logging",
            "logging.options.max-size",
            "logging.options.max-file",
            "user",
            "restart",
            "volumes",
        ],
    ),
    (
        &["user-service", "post-service", "backup", "litestream"],
        &["depends_on", "stop_grace_period"],
    ),
    (
        &["user-service", "post-service"],
        &[
            "healthcheck",
            "healthcheck.test",
            "healthcheck.interval",
            "healthcheck.timeout",
            "healthcheck.retries",
            "healthcheck.start_period",
            "ports",
            "networks.internal",
        ],
    ),
    (
        &["user-service", "post-service", "migrator", "backup"],
        &["build", "environment.LOG_FORMAT"],
    ),
    (&["migrator", "backup"], &["network_mode"]),
];

#[test]
fn compose_file_keeps_all_rules() {
    assert_eq!(rules::broken(&compose()), [""; 0]);
}

#[test]
fn removing_a_field_breaks_a_rule() {
    let whole = compose();

    for (services, fields) in FIELDS {
        for service in services {
            for field in fields {
                let path = format!("/services/{service}/{}", field.replace('.', "/"));
                let (parent, field) = path.rsplit_once('/').unwrap();
                let mut without = whole.clone();
                let fields = without.pointer_mut(parent).and_then(Value::as_object_mut);
                let removed = fields.and_then(|fields| fields.remove(field));

                assert!(removed.is_some(), "{path} is missing");
                let broken = rules::broken(&without);
                assert!(
                    broken
                        .iter()
                        .any(|rule| rule.starts_with(&format!("{service}: "))),
                    "no rule needs {path}: {broken:?}"
                );
            }
        }
    }
}

#[test]
fn changing_a_field_breaks_a_rule() {
    let whole = compose();

    for (path, value) in [
        ("/services/user-service/read_only", "false"),
        ("/services/user-service/cap_drop", "[NET_RAW]"),
        ("/services/user-service/cap_add", "[NET_ADMIN]"),
        (
            "/services/user-service/security_opt",
            "['seccomp=unconfined']",
        ),
        ("/services/user-service/privileged", "true"),
        ("/services/user-service/user", "'0:0'"),
        ("/services/user-service/network_mode", "host"),
        ("/services/user-service/pid", "host"),
        ("/services/user-service/ports", "['50051:50051']"),
        ("/services/user-service/ports", "['0.0.0.0:50051:50051']"),
        ("/services/user-service/ports", "['127.0.0.1:50052:50051']"),
        ("/services/user-service/stop_grace_period", "11s"),
        ("/services/user-service/restart", "'no'"),
        ("/services/user-service/volumes", "['other:/data']"),
        (
            "/services/user-service/healthcheck/test",
            "[CMD-SHELL, 'true']",
        ),
        ("/services/user-service/healthcheck/timeout", "500ms"),
        (
            "/services/user-service/depends_on/migrator/condition",
            "service_started",
        ),
        ("/services/user-service/environment/DRAIN_LIMT", "10s"),
        ("/services/user-service/environment/DRAIN_TIMEOUT", "1m"),
        ("/services/user-service/environment/LOG_FORMAT", "text"),
        (
            "/services/post-service/environment/ADMIN_PASSWORD",
            "hunter2",
        ),
        (
            "/services/post-service/environment/USER_SERVICE_URL",
            "http://elsewhere:50051",
        ),
        ("/services/migrator/command", "[downgrade]"),
        ("/services/migrator/restart", "always"),
        ("/services/backup/command", "[backup]"),
        ("/services/backup/profiles", "[]"),
        ("/services/litestream/profiles", "[]"),
        ("/networks/internal/internal", "false"),
        ("/volumes/other", "{}"),
        ("/secrets", "{key: {file: key.txt}}"),
    ] {
        let mut changed = whole.clone();
        let (parent, field) = path.rsplit_once('/').unwrap();
        let parent = changed.pointer_mut(parent).unwrap();
        parent[field] = serde_saphyr::from_str(value).unwrap();

        let broken = rules::broken(&changed);

        assert!(!broken.is_empty(), "no rule forbids {path}: {value}");
    }
}

#[test]
fn services_publish_their_ports_on_loopback() {
    let compose = compose();

    for (service, port) in SERVICES {
        let ports = &compose["services"][service]["ports"];

        assert_eq!(
            *ports,
            serde_json::json!([format!("127.0.0.1:{port}:{port}")])
        );
    }
}

#[test]
fn start_period_covers_the_database_startup_timeout() {
    let compose = compose();

    for (name, _) in SERVICES {
        let service = &compose["services"][name];
        let period = duration(&service["healthcheck"]["start_period"]).unwrap();

        assert!(
            period >= settings::database_startup_timeout(name, &environment(service)),
            "{name}"
        );
    }
}

#[test]
fn variables_are_replaced_by_their_defaults() {
    assert_eq!(
        with_defaults("127.0.0.1:${PORT:-50051}:50051"),
        "127.0.0.1:50051:50051"
    );
    assert_eq!(with_defaults("${A:-}b${C}"), "b");
    assert_eq!(
        parse("a: &a {b: 1, c: 2}\nd: {<<: *a, c: '${X:-3}'}")["d"],
        serde_json::json!({"b": 1, "c": "3"})
    );
}
