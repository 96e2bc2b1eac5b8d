//! `datamesh kms`.

use anyhow::Result;
use gateway_admin::wire;

use super::print;
use crate::{
    args::kms::{KmsArgs, KmsKeyVerb, KmsNoun},
    client::{Client, segment},
};

pub(crate) fn run(args: KmsArgs) -> Result<()> {
    let client = Client::connect(&args.client)?;
    let json = args.client.json;
    let KmsNoun::Key(verb) = args.noun;
    let key: wire::KmsKey = match verb {
        KmsKeyVerb::List => return list(&client, json),
        KmsKeyVerb::Create { id, alias, description } => {
            client.post("/kms/keys", &wire::CreateKmsKey { id, alias, description })?
        }
        KmsKeyVerb::Show { key } => client.get(&path(&key, "")?)?,
        KmsKeyVerb::Rotate { key } => client.post_empty(&path(&key, "/rotate")?)?,
        KmsKeyVerb::Disable { key } => client.post_empty(&path(&key, "/disable")?)?,
        KmsKeyVerb::Enable { key } => client.post_empty(&path(&key, "/enable")?)?,
    };
    match json {
        true => print::json(&key),
        false => show(&key),
    }
}

fn path(key: &str, what: &str) -> Result<String> {
    Ok(format!("/kms/keys/{}{what}", segment(key)?))
}

fn list(client: &Client, json: bool) -> Result<()> {
    let list: wire::KmsKeyList = client.get("/kms/keys")?;
    if json {
        return print::json(&list);
    }
    let row = |key: wire::KmsKey| {
        let state = state(&key).to_owned();
        let versions = key.versions.to_string();
        [key.id, key.aliases.join(", "), state, versions, key.rotated]
    };
    let rows: Vec<_> = list.keys.into_iter().map(row).collect();
    print::table(["KEY", "ALIASES", "STATE", "VERSIONS", "ROTATED"], &rows)
}

fn show(key: &wire::KmsKey) -> Result<()> {
    let mut rows = vec![("Key", key.id.clone())];
    if !key.aliases.is_empty() {
        rows.push(("Aliases", key.aliases.join(", ")));
    }
    if !key.description.is_empty() {
        rows.push(("Description", key.description.clone()));
    }
    rows.extend([
        ("State", state(key).to_owned()),
        ("Versions", key.versions.to_string()),
        ("Created", key.created.clone()),
        ("Rotated", key.rotated.clone()),
    ]);
    print::fields(&rows)
}

fn state(key: &wire::KmsKey) -> &'static str {
    if key.enabled { "enabled" } else { "disabled" }
}
