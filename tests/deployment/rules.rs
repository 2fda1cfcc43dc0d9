//! The rules for the compose file. A broken rule is reported as the requirement that is not met.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{
    SERVICES, UID,
    compose::{duration, environment},
    settings,
};

/// Parts of the names of variables that hold secrets.
const SECRETS: [&str; 4] = ["PASSWORD", "SECRET", "TOKEN", "KEY"];

/// Fields that give a container more access to the host than it needs.
const HOST_ACCESS: [&str; 8] = [
    "privileged",
    "cap_add",
    "pid",
    "ipc",
    "uts",
    "devices",
    "userns_mode",
    "env_file",
];

/// Returns the requirements that a compose file does not meet, each with the name of the service.
pub fn broken(compose: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let Some(services) = compose["services"].as_object() else {
        return vec!["must have services".into()];
    };
    for (name, service) in services {
        let mut report = |rule: &str| found.push(format!("{name}: {rule}"));
        hardening(service, &mut report);
        limits(service, &mut report);
        volumes_and_networks(compose, service, &mut report);
        variables(name, service, &mut report);
        match name.as_str() {
            "migrator" => migrator(service, &mut report),
            "backup" => backup(service, &mut report),
            "litestream" if service["profiles"] != array(&["litestream"]) => {
                report("must be in the profile litestream");
            }
            _ => {}
        }
        if name != "migrator" {
            after_migrator(service, &mut report);
        }
    }
    for (name, port) in SERVICES {
        let mut report = |rule: &str| found.push(format!("{name}: {rule}"));
        grpc_service(compose, name, port, &mut report);
    }
    found.extend(shared_parts(compose));
    found
}

fn array(items: &[&str]) -> Value {
    items.iter().copied().collect()
}

/// Returns the program of a container, or `None` if it is a third-party program.
fn program(name: &str) -> Option<&str> {
    match name {
        "backup" => Some("migrator"),
        "user-service" | "post-service" | "migrator" => Some(name),
        _ => None,
    }
}

fn hardening(service: &Value, report: &mut impl FnMut(&str)) {
    if service["read_only"] != true {
        report("must have a read-only root file system");
    }
    let tmpfs = service["tmpfs"].as_array();
    let has_tmp = |mount: &Value| {
        mount
            .as_str()
            .is_some_and(|m| m == "/tmp" || m.starts_with("/tmp:"))
    };
    if !tmpfs.is_some_and(|mounts| mounts.iter().any(has_tmp)) {
        report("must have /tmp in memory");
    }
    if service["cap_drop"] != array(&["ALL"]) {
        report("must drop all capabilities");
    }
    let options = service["security_opt"].as_array();
    let only = |options: &Vec<Value>| options == &["no-new-privileges:true"];
    if !options.is_some_and(only) {
        report("must set only no-new-privileges, which keeps the default seccomp profile");
    }
    if service["user"] != format!("{UID}:{UID}") {
        report("must run as the owner of the database");
    }
    for field in HOST_ACCESS {
        if !service[field].is_null() {
            report(&format!("must not have `{field}`"));
        }
    }
    if !service["network_mode"].is_null() && service["network_mode"] != "none" {
        report("must not use a network of the host or of another container");
    }
}

fn limits(service: &Value, report: &mut impl FnMut(&str)) {
    if service["mem_limit"].as_str().is_none() || service["memswap_limit"] != service["mem_limit"] {
        report("must limit memory, including swap");
    }
    let above_zero = |value: &Value| value.as_f64().is_some_and(|number| number > 0.0);
    if !above_zero(&service["pids_limit"]) {
        report("must limit processes and threads");
    }
    if !above_zero(&service["cpus"]) {
        report("must limit CPU time");
    }
    let files = &service["ulimits"]["nofile"];
    if !above_zero(&files["soft"]) || !above_zero(&files["hard"]) {
        report("must limit open files");
    }
    let log = &service["logging"];
    let options = &log["options"];
    let rotates = matches!(log["driver"].as_str(), Some("json-file" | "local"))
        && options["max-size"].is_string()
        && options["max-file"].is_string();
    if !rotates {
        report("must rotate its log");
    }
}

/// Checks the mounts, the published ports and the networks of a container.
fn volumes_and_networks(compose: &Value, service: &Value, report: &mut impl FnMut(&str)) {
    let mounts = service["volumes"].as_array();
    let named: Vec<_> = mounts
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        // Read-only mounts of files in the source tree are allowed.
        .filter(|mount| !(mount.starts_with("./") && mount.ends_with(":ro")))
        .collect();
    if named != ["data:/data"] {
        report("must mount the volume at /data as its only writable mount");
    }
    for port in service["ports"].as_array().into_iter().flatten() {
        if !port
            .as_str()
            .is_some_and(|port| port.starts_with("127.0.0.1:"))
        {
            report(&format!("must publish {port} on 127.0.0.1 only"));
        }
    }
    let networks = service["networks"].as_object().map(Map::keys);
    for network in networks.into_iter().flatten() {
        if compose["networks"].get(network).is_none() {
            report(&format!("must use a declared network instead of {network}"));
        }
    }
}

fn variables(name: &str, service: &Value, report: &mut impl FnMut(&str)) {
    let environment = environment(service);
    for (variable, value) in &environment {
        if let Some(program) = program(name)
            && !settings::reads(program, variable)
        {
            report(&format!(
                "must set only settings of {program}, not {variable}"
            ));
        }
        let file = variable.ends_with("_FILE");
        if !file && !value.is_empty() && SECRETS.iter().any(|part| variable.contains(part)) {
            report(&format!("must not set the secret {variable}"));
        }
    }
    if program(name).is_some() && environment.get("LOG_FORMAT").is_none_or(|f| f != "json") {
        report("must log JSON");
    }
    if program(name).is_some_and(|program| service["build"]["target"] != program) {
        report("must be built from the target of its program");
    }
}

fn migrator(service: &Value, report: &mut impl FnMut(&str)) {
    if service["command"] != array(&["upgrade"]) {
        report("must upgrade the database");
    }
    if service["restart"] != "no" {
        report("must run once");
    }
    if service["network_mode"] != "none" {
        report("must have no network");
    }
}

fn backup(service: &Value, report: &mut impl FnMut(&str)) {
    let command = service["command"].as_array();
    let repeats =
        |command: &Vec<Value>| command.len() == 3 && command[..2] == ["backup", "--every"];
    if !command.is_some_and(repeats) {
        report("must back up at an interval");
    }
    if service["profiles"] != array(&["backup"]) {
        report("must be in the profile backup");
    }
    if service["network_mode"] != "none" {
        report("must have no network");
    }
}

/// Checks the containers that start after the migrator and keep running.
fn after_migrator(service: &Value, report: &mut impl FnMut(&str)) {
    if service["depends_on"]["migrator"]["condition"] != "service_completed_successfully" {
        report("must start after the migrator has succeeded");
    }
    if !matches!(
        service["restart"].as_str(),
        Some("unless-stopped" | "always")
    ) {
        report("must restart after any exit");
    }
    if duration(&service["stop_grace_period"]).is_none() {
        report("must set stop_grace_period");
    }
}

/// Checks the drain time, the health check, the port and the network of a service.
fn grpc_service(compose: &Value, name: &str, port: u64, report: &mut impl FnMut(&str)) {
    let service = &compose["services"][name];
    let environment = environment(service);
    let grace = duration(&service["stop_grace_period"]).unwrap_or_default();
    if grace <= settings::drain(name, &environment) {
        report("must have a stop_grace_period longer than its drain");
    }
    let check = &service["healthcheck"];
    let test = check["test"].as_array().map(Vec::as_slice);
    let path = format!("/usr/local/bin/{name}");
    if test.is_none_or(|test| test != ["CMD", path.as_str(), "healthcheck"]) {
        report("must check its health by its subcommand, without a shell");
    }
    // The check's own limit of 1 s, and the start of its process.
    let timeout = duration(&check["timeout"]).unwrap_or_default();
    if timeout < Duration::from_secs(2) {
        report("must give its health check at least 2 s");
    }
    let set = |field: &str| duration(&check[field]).is_some();
    if !set("interval") || !set("start_period") || check["retries"].as_u64().is_none() {
        report("must set interval, start_period and retries of its health check");
    }
    let ports = service["ports"].as_array().map(Vec::as_slice);
    let published = format!("127.0.0.1:{port}:{port}");
    if ports.is_none_or(|ports| ports != [published.as_str()]) {
        report("must publish its port");
    }
    let variable = name.replace('-', "_").to_uppercase() + "_LISTEN";
    let listens = format!("0.0.0.0:{port}");
    if environment.get(&variable).is_none_or(|set| *set != listens) {
        report("must listen on its port on all addresses of the container");
    }
    if service["networks"].get("internal").is_none() {
        report("must be on the internal network");
    }
}

/// Checks networks, volumes and other parts that are shared by containers.
fn shared_parts(compose: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut report = |rule: &str| found.push(rule.to_owned());
    if compose["networks"]["internal"]["internal"] != true {
        report("the internal network must be isolated");
    }
    let volumes = compose["volumes"].as_object();
    if volumes.is_none_or(|volumes| !volumes.keys().eq(["data"])) {
        report("must have exactly one volume");
    }
    for field in ["secrets", "configs"] {
        if !compose[field].is_null() {
            report("must not need other files");
        }
    }
    // The alias exists only on that network.
    let url = &compose["services"]["post-service"]["environment"]["USER_SERVICE_URL"];
    let aliases = &compose["services"]["user-service"]["networks"]["internal"]["aliases"];
    let aliases = aliases.as_array().into_iter().flatten();
    let urls: Vec<_> = aliases
        .filter_map(Value::as_str)
        .map(|alias| format!("http://{alias}:50051"))
        .collect();
    if !urls.iter().any(|known| url == known) && url != "http://user-service:50051" {
        report("post-service must call user-service over the internal network");
    }
    found
}
