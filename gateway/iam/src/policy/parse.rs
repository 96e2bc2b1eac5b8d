//! Reads policy documents.

use super::{
    Effect, Listed, Malformed, POLICY_LEN_BYTES_MAX, Policy, Statement, condition,
    json::Json,
    known_action,
    pattern::{Steps, Symbol, matches, symbols},
    principal,
    text::Text,
};
use crate::Level;

/// The version that has variables.
const VERSION: &str = "2012-10-17";
/// The version of documents that name none.
const OLD_VERSION: &str = "2008-10-17";
/// What names of buckets and objects start with.
const ARN_START: &str = "arn:aws:s3:::";

type Fields = [(String, Json)];

pub(super) fn policy(text: &str, bucket: &str) -> Result<Policy, Malformed> {
    if text.len() > POLICY_LEN_BYTES_MAX {
        return Err(Malformed::TooLong);
    }
    let json = serde_json::from_str::<Json>(text);
    let (true, Ok(Json::Object(fields))) = (text.starts_with('{'), json) else {
        return Err(Malformed::NoJson);
    };
    only(&fields, &["Version", "Id", "Statement"])?;
    let version = match get(&fields, "Version") {
        None => OLD_VERSION,
        Some(version) => version.text().ok_or(Malformed::Version)?,
    };
    if version != VERSION && version != OLD_VERSION {
        return Err(Malformed::Version);
    }
    if get(&fields, "Id").is_some_and(|id| id.text().is_none()) {
        return Err(Malformed::Syntax { name: "Id" });
    }
    let place = Place { bucket, has_variables: version == VERSION };
    let statements = get(&fields, "Statement").ok_or(Malformed::Missing { name: "Statement" })?;
    let mut sids: Vec<&str> = Vec::new();
    let mut parsed = Vec::new();
    for statement in statements.one_or_many() {
        let Json::Object(fields) = statement else {
            return Err(Malformed::Syntax { name: "Statement" });
        };
        if let Some(sid) = get(fields, "Sid") {
            let sid = sid.text().ok_or(Malformed::Syntax { name: "Sid" })?;
            if !sid.is_empty() && sids.contains(&sid) {
                return Err(Malformed::Sid);
            }
            sids.push(sid);
        }
        parsed.push(place.statement(fields)?);
    }
    match parsed.is_empty() {
        true => Err(Malformed::NoStatement),
        false => Ok(Policy { statements: parsed }),
    }
}

/// What a statement is read for.
struct Place<'a> {
    bucket: &'a str,
    has_variables: bool,
}

/// What is compared with the actions of a statement.
struct Resources {
    listed: Listed<Text>,
    /// Whether they may be the bucket.
    has_bucket: bool,
    /// Whether they may be objects.
    has_objects: bool,
}

impl Place<'_> {
    fn statement(&self, fields: &Fields) -> Result<Statement, Malformed> {
        only(
            fields,
            &[
                "Sid",
                "Effect",
                "Principal",
                "NotPrincipal",
                "Action",
                "NotAction",
                "Resource",
                "NotResource",
                "Condition",
            ],
        )?;
        let effect = get(fields, "Effect").ok_or(Malformed::Missing { name: "Effect" })?;
        let effect = match effect.text() {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            _ => {
                let effect = effect.scalar().unwrap_or_default();
                return Err(Malformed::Effect { effect });
            }
        };
        let (principals, negated) = either(fields, "Principal", "NotPrincipal")?;
        let principals = Listed { items: principal::parse(principals)?, negated };
        let resources = self.resources(fields)?;
        let actions = self.actions(fields, &resources)?;
        let conditions = match get(fields, "Condition") {
            None => Vec::new(),
            Some(json) => condition::parse(json, self.has_variables)?,
        };
        Ok(Statement { effect, principals, actions, resources: resources.listed, conditions })
    }

    fn resources(&self, fields: &Fields) -> Result<Resources, Malformed> {
        let (json, negated) = either(fields, "Resource", "NotResource")?;
        let (mut has_bucket, mut has_objects) = (negated, negated);
        let mut items = Vec::new();
        for resource in json.one_or_many() {
            let resource = resource.text().ok_or(Malformed::Resource)?;
            let path = match resource {
                "*" => "*",
                _ => resource.strip_prefix(ARN_START).ok_or(Malformed::Resource)?,
            };
            self.check_bucket(path)?;
            let text = Text::parse(path, self.has_variables).ok_or(Malformed::Resource)?;
            has_bucket |= !path.contains('/');
            has_objects |= text.may_start_with(&format!("{}/", self.bucket));
            items.push(text);
        }
        if items.is_empty() {
            return Err(Malformed::Missing { name: "Resource" });
        }
        Ok(Resources { listed: Listed { items, negated }, has_bucket, has_objects })
    }

    /// What is before the first slash names the bucket, or describes it.
    fn check_bucket(&self, path: &str) -> Result<(), Malformed> {
        let name = path.split('/').next().unwrap_or_default();
        let pattern: Vec<Symbol> = symbols(name).collect();
        let is_bucket = !name.contains('$') && matches(&pattern, self.bucket, &Steps::new());
        // A run may reach over the slash into the keys.
        let reaches_keys = name.ends_with('*') && {
            let text = Text::parse(name, false);
            text.is_some_and(|text| text.may_start_with(&format!("{}/", self.bucket)))
        };
        match is_bucket || reaches_keys {
            true => Ok(()),
            false => Err(Malformed::Resource),
        }
    }

    fn actions(&self, fields: &Fields, resources: &Resources) -> Result<Listed<Text>, Malformed> {
        let (json, negated) = either(fields, "Action", "NotAction")?;
        let mut items = Vec::new();
        for action in json.one_or_many() {
            let action = action.text().ok_or(Malformed::Action)?.to_ascii_lowercase();
            let levels = known_action::named(&action);
            if levels.is_empty() {
                return Err(Malformed::Action);
            }
            let applies = |level: &Level| match level {
                Level::Service => false,
                Level::Bucket => resources.has_bucket,
                Level::Object => resources.has_objects,
            };
            if !negated && !levels.iter().any(applies) {
                return Err(Malformed::ActionWithoutResource);
            }
            // Actions have no variables.
            items.extend(Text::parse(&action, false));
        }
        match items.is_empty() {
            true => Err(Malformed::Missing { name: "Action" }),
            false => Ok(Listed { items, negated }),
        }
    }
}

fn get<'a>(fields: &'a Fields, name: &str) -> Option<&'a Json> {
    fields.iter().find(|(found, _)| found == name).map(|(_, value)| value)
}

/// An element or its opposite, of which there must be one.
fn either<'a>(
    fields: &'a Fields,
    name: &'static str,
    opposite: &'static str,
) -> Result<(&'a Json, bool), Malformed> {
    match (get(fields, name), get(fields, opposite)) {
        (Some(json), None) => Ok((json, false)),
        (None, Some(json)) => Ok((json, true)),
        (None, None) => Err(Malformed::Missing { name }),
        (Some(_), Some(_)) => Err(Malformed::Syntax { name: opposite }),
    }
}

fn only(fields: &Fields, names: &[&str]) -> Result<(), Malformed> {
    match fields.iter().find(|(name, _)| !names.contains(&name.as_str())) {
        Some((name, _)) => Err(Malformed::Unknown { name: name.clone() }),
        None => Ok(()),
    }
}
