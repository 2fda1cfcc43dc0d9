//! What has to hold of a compose file, each as a sentence that says what is wrong.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{
    SERVICES, UID,
    compose::{duration, environment},
    settings,
};

/// Parts of the names of variables whose values are nobody's business.
const SECRETS: [&str; 4] = ["PASSWORD", "SECRET", "TOKEN", "KEY"];

/// Ways in which a container could have more of the host than it needs.
const DOORS: [&str; 8] = [
    "privileged",
    "cap_add",
    "pid",
    "ipc",
    "uts",
    "devices",
    "userns_mode",
    "env_file",
];

/// The rules that a compose file breaks, each with the service it is about.
pub fn broken(compose: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let Some(services) = compose["services"].as_object() else {
        return vec!["there are no services".into()];
    };
    for (name, service) in services {
        let mut say = |what: &str| found.push(format!("{name}: {what}"));
        hardening(service, &mut say);
        limits(service, &mut say);
        surroundings(compose, service, &mut say);
        variables(name, service, &mut say);
        match name.as_str() {
            "migrator" => migrator(service, &mut say),
            "backup" => backup(service, &mut say),
            "litestream" if service["profiles"] != array(&["litestream"]) => {
                say("it has a profile of its own");
            }
            _ => {}
        }
        if name != "migrator" {
            after_migrator(service, &mut say);
        }
    }
    for (name, port) in SERVICES {
        let mut say = |what: &str| found.push(format!("{name}: {what}"));
        served(compose, name, port, &mut say);
    }
    found.extend(whole(compose));
    found
}

fn array(items: &[&str]) -> Value {
    items.iter().copied().collect()
}

/// The program that is in a container, unless it is none of ours.
fn program(name: &str) -> Option<&str> {
    match name {
        "backup" => Some("migrator"),
        "user-service" | "post-service" | "migrator" => Some(name),
        _ => None,
    }
}

fn hardening(service: &Value, say: &mut impl FnMut(&str)) {
    if service["read_only"] != true {
        say("its root file system is read-only");
    }
    let tmpfs = service["tmpfs"].as_array();
    let has_tmp = |mount: &Value| {
        mount
            .as_str()
            .is_some_and(|m| m == "/tmp" || m.starts_with("/tmp:"))
    };
    if !tmpfs.is_some_and(|mounts| mounts.iter().any(has_tmp)) {
        say("its /tmp is in memory");
    }
    if service["cap_drop"] != array(&["ALL"]) {
        say("it has no capability");
    }
    let options = service["security_opt"].as_array();
    let only = |options: &Vec<Value>| options == &["no-new-privileges:true"];
    if !options.is_some_and(only) {
        say("it can gain no privileges, and keeps the engine's own confinement");
    }
    if service["user"] != format!("{UID}:{UID}") {
        say("it runs as the one user that the database belongs to");
    }
    for door in DOORS {
        if !service[door].is_null() {
            say(&format!("it has no `{door}`"));
        }
    }
    if !service["network_mode"].is_null() && service["network_mode"] != "none" {
        say("it has a network of its own, or none");
    }
}

fn limits(service: &Value, say: &mut impl FnMut(&str)) {
    if service["mem_limit"].as_str().is_none() || service["memswap_limit"] != service["mem_limit"] {
        say("its memory is limited, with its swap");
    }
    let above_zero = |value: &Value| value.as_f64().is_some_and(|number| number > 0.0);
    if !above_zero(&service["pids_limit"]) {
        say("its processes and threads are limited");
    }
    if !above_zero(&service["cpus"]) {
        say("its share of the processors is limited");
    }
    let files = &service["ulimits"]["nofile"];
    if !above_zero(&files["soft"]) || !above_zero(&files["hard"]) {
        say("its open files are limited");
    }
    let log = &service["logging"];
    let options = &log["options"];
    let rotates = matches!(log["driver"].as_str(), Some("json-file" | "local"))
        && options["max-size"].is_string()
        && options["max-file"].is_string();
    if !rotates {
        say("its log is rotated");
    }
}

/// Its disk and its network.
fn surroundings(compose: &Value, service: &Value, say: &mut impl FnMut(&str)) {
    let mounts = service["volumes"].as_array();
    let named: Vec<_> = mounts
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        // What is read from the source tree is read only.
        .filter(|mount| !(mount.starts_with("./") && mount.ends_with(":ro")))
        .collect();
    if named != ["data:/data"] {
        say("the one volume is mounted at /data, and nothing else that can be written");
    }
    for port in service["ports"].as_array().into_iter().flatten() {
        if !port
            .as_str()
            .is_some_and(|port| port.starts_with("127.0.0.1:"))
        {
            say(&format!("{port} is published on 127.0.0.1 only"));
        }
    }
    let networks = service["networks"].as_object().map(Map::keys);
    for network in networks.into_iter().flatten() {
        if compose["networks"].get(network).is_none() {
            say(&format!("there is a network {network}"));
        }
    }
}

fn variables(name: &str, service: &Value, say: &mut impl FnMut(&str)) {
    let environment = environment(service);
    for (variable, value) in &environment {
        if let Some(program) = program(name)
            && !settings::reads(program, variable)
        {
            say(&format!("{variable} is a setting of {program}"));
        }
        let file = variable.ends_with("_FILE");
        if !file && !value.is_empty() && SECRETS.iter().any(|part| variable.contains(part)) {
            say(&format!("{variable} holds no secret"));
        }
    }
    if program(name).is_some() && environment.get("LOG_FORMAT").is_none_or(|f| f != "json") {
        say("its log is JSON");
    }
    if program(name).is_some_and(|program| service["build"]["target"] != program) {
        say("it is built from the target of its program");
    }
}

fn migrator(service: &Value, say: &mut impl FnMut(&str)) {
    if service["command"] != array(&["upgrade"]) {
        say("it upgrades the database");
    }
    if service["restart"] != "no" {
        say("it runs once");
    }
    if service["network_mode"] != "none" {
        say("it has no network");
    }
}

fn backup(service: &Value, say: &mut impl FnMut(&str)) {
    let command = service["command"].as_array();
    let begins = |command: &Vec<Value>| command.len() == 3 && command[..2] == ["backup", "--every"];
    if !command.is_some_and(begins) {
        say("it backs up again and again");
    }
    if service["profiles"] != array(&["backup"]) {
        say("it has a profile of its own");
    }
    if service["network_mode"] != "none" {
        say("it has no network");
    }
}

/// What runs on, once the migrator has done its work.
fn after_migrator(service: &Value, say: &mut impl FnMut(&str)) {
    if service["depends_on"]["migrator"]["condition"] != "service_completed_successfully" {
        say("it starts after the migrator has succeeded");
    }
    if !matches!(
        service["restart"].as_str(),
        Some("unless-stopped" | "always")
    ) {
        say("it is started again, whatever ended it");
    }
    if duration(&service["stop_grace_period"]).is_none() {
        say("it has the time to end in order");
    }
}

/// What serves calls.
fn served(compose: &Value, name: &str, port: u64, say: &mut impl FnMut(&str)) {
    let service = &compose["services"][name];
    let environment = environment(service);
    let grace = duration(&service["stop_grace_period"]).unwrap_or_default();
    if grace <= settings::drain(name, &environment) {
        say("the grace of a stop is longer than a drain");
    }
    let check = &service["healthcheck"];
    let test = check["test"].as_array().map(Vec::as_slice);
    let path = format!("/usr/local/bin/{name}");
    if test.is_none_or(|test| test != ["CMD", path.as_str(), "healthcheck"]) {
        say("its health is asked for by its own subcommand, without a shell");
    }
    // A second of its own, and what it takes to start it.
    let timeout = duration(&check["timeout"]).unwrap_or_default();
    if timeout < Duration::from_secs(2) {
        say("its health check is given more time than it needs");
    }
    let set = |field: &str| duration(&check[field]).is_some();
    if !set("interval") || !set("start_period") || check["retries"].as_u64().is_none() {
        say("its health is asked for regularly, and not held against it at once");
    }
    let ports = service["ports"].as_array().map(Vec::as_slice);
    let published = format!("127.0.0.1:{port}:{port}");
    if ports.is_none_or(|ports| ports != [published.as_str()]) {
        say("it is published on its port");
    }
    let variable = name.replace('-', "_").to_uppercase() + "_LISTEN";
    let listens = format!("0.0.0.0:{port}");
    if environment.get(&variable).is_none_or(|set| *set != listens) {
        say("it listens on its port, on every address of the container");
    }
    if service["networks"].get("internal").is_none() {
        say("it is on the network between the services");
    }
}

/// What is not about one service.
fn whole(compose: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut say = |what: &str| found.push(what.to_owned());
    if compose["networks"]["internal"]["internal"] != true {
        say("the network between the services leads nowhere else");
    }
    let volumes = compose["volumes"].as_object();
    if volumes.is_none_or(|volumes| !volumes.keys().eq(["data"])) {
        say("there is one volume");
    }
    for field in ["secrets", "configs"] {
        if !compose[field].is_null() {
            say("the file needs no others beside it");
        }
    }
    // Under an alias that nothing but that network knows.
    let url = &compose["services"]["post-service"]["environment"]["USER_SERVICE_URL"];
    let aliases = &compose["services"]["user-service"]["networks"]["internal"]["aliases"];
    let aliases = aliases.as_array().into_iter().flatten();
    let urls: Vec<_> = aliases
        .filter_map(Value::as_str)
        .map(|alias| format!("http://{alias}:50051"))
        .collect();
    if !urls.iter().any(|known| url == known) && url != "http://user-service:50051" {
        say("the post service asks the user service over the network between them");
    }
    found
}
