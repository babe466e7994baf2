//! Documents that are made from the code: `UPDATE_DOCS=1 cargo test --test it -- docs` writes them anew.

use std::fmt::Write as _;

use boathouse::config::Config;

/// A document of `docs/` is what is made of the code now.
fn is_up_to_date(name: &str, made: &str) {
    let path = format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(kept == made, "{path} is not what the code says: UPDATE_DOCS=1 cargo test --test it -- docs");
}

/// A struct of the configuration: its name, what it is about, its keys with their types and meanings.
struct Section {
    name: String,
    about: String,
    keys: Vec<(String, String, String)>,
}

/// The structs of the configuration's source, in its order.
fn sections(source: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut about: Vec<&str> = Vec::new();
    let mut inside = false;
    for line in source.lines() {
        let text = line.trim();
        if let Some(words) = text.strip_prefix("/// ") {
            about.push(words);
        } else if let Some(name) = text.strip_prefix("pub struct ").and_then(|rest| rest.strip_suffix(" {")) {
            let about = std::mem::take(&mut about).join(" ");
            sections.push(Section { name: name.to_owned(), about, keys: Vec::new() });
            inside = true;
        } else if line == "}" {
            inside = false;
            about.clear();
        } else if let Some((key, kind)) = text.strip_prefix("pub ").and_then(|field| field.split_once(": "))
            && let Some(section) = sections.last_mut().filter(|_| inside)
        {
            let meaning = std::mem::take(&mut about).join(" ");
            section.keys.push((key.to_owned(), kind.trim_end_matches(',').to_owned(), meaning));
        } else if !text.starts_with('#') {
            about.clear();
        }
    }
    sections
}

/// How the configuration writes a type.
fn shown_type(kind: &str) -> &str {
    let kind = kind.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>')).unwrap_or(kind);
    match kind {
        "PathBuf" => "path",
        "SocketAddr" => "address",
        "u32" | "u64" => "integer",
        "bool" => "boolean",
        "Vec<String>" | "Vec<Class>" | "Vec<MasterUrl>" => "list of strings",
        "Vec<StoreCredential>" => "list of tables",
        _ => "string",
    }
}

#[test]
fn the_configuration_is_described() {
    let sections = sections(include_str!("../../src/config/mod.rs"));
    let defaults: toml::Table = Config::default().to_toml().parse().unwrap();
    let find = |name: &str| sections.iter().find(|section| section.name == name).unwrap();
    let mut out = String::from(
        "# Configuration\n\nMade from `src/config/mod.rs`.\n\n\
         Defaults, then a TOML file (`boathouse serve --config FILE`), then the environment (`BOATHOUSE_<SECTION>__<KEY>`, such as\n\
         `BOATHOUSE_WIRE__LISTEN=0.0.0.0:5432`), then flags: what comes later counts. A key that is not known is an error.\n\
         `boathouse config default` prints the defaults, `boathouse config show` what a server would use, `boathouse config check` every fault.\n",
    );
    let mut describe = |title: &str, section: &Section, defaults: Option<&toml::Table>| {
        let about = section.about.split_once("`: ").map_or(section.about.as_str(), |(_, about)| about);
        let (first, rest) = about.split_at(1);
        write!(out, "\n## {title}\n\n{}{rest}\n\n", first.to_uppercase()).unwrap();
        out.push_str("| key | type | default | meaning |\n|---|---|---|---|\n");
        for (key, kind, meaning) in &section.keys {
            let default = defaults.and_then(|table| table.get(key)).map_or(String::new(), |value| format!("`{value}`"));
            writeln!(out, "| `{key}` | {} | {default} | {meaning} |", shown_type(kind)).unwrap();
        }
    };
    for (section, kind, _) in &find("Config").keys {
        describe(&format!("`{section}`"), find(kind), defaults[section].as_table());
    }
    describe("Each of `lake.credentials`", find("StoreCredential"), None);
    is_up_to_date("configuration.md", &out);
}
