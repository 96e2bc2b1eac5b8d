//! Browsers' forms and their policies.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};
use md5::{Digest as _, Md5};

use super::{
    gateway::{BUCKET, Gateway, ROOT, with_gateway},
    signer::Signer,
};

const FILE_NAME: &str = "photo.jpg";
const BOUNDARY: &str = "XX";

/// A form as text lines, an empty line, and the file. Lines are `eq NAME VALUE`,
/// `starts NAME PREFIX`, `range MIN MAX` and `raw JSON` for conditions of the policy,
/// `field NAME VALUE` for fields; `unsigned` leaves the signature out and `wrong` breaks it.
///
/// A form is stored only with a right signature, and only if every field of a condition's name
/// fulfils it and every field has a condition; what is stored is the file.
pub fn form(data: &[u8]) {
    let form = Form::read(data);
    with_gateway(|gateway| async move { form.play(&gateway).await });
}

#[derive(Default)]
struct Form {
    conditions: Vec<Condition>,
    fields: Vec<(String, String)>,
    trust: Trust,
    file: Vec<u8>,
}

enum Condition {
    Eq(String, String),
    StartsWith(String, String),
    Range(u64, u64),
    Raw(String),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Trust {
    #[default]
    Signed,
    Unsigned,
    WrongSignature,
}

impl Form {
    fn read(data: &[u8]) -> Self {
        let end = data.windows(2).position(|pair| pair == b"\n\n").unwrap_or(data.len());
        let file = data.get(end + 2..).unwrap_or_default().to_vec();
        let mut form = Self { file, ..Self::default() };
        for line in data[..end].split(|byte| *byte == b'\n') {
            if let Ok(line) = std::str::from_utf8(line) {
                form.read_line(line);
            }
        }
        form
    }

    fn read_line(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (name, value) = rest.split_once(' ').unwrap_or((rest, ""));
        let (owned_name, value_text) = (name.to_owned(), value.to_owned());
        match word {
            "eq" => self.conditions.push(Condition::Eq(owned_name, value_text)),
            "starts" => self.conditions.push(Condition::StartsWith(owned_name, value_text)),
            "range" => {
                if let (Ok(min), Ok(max)) = (name.parse(), value.parse()) {
                    self.conditions.push(Condition::Range(min, max));
                }
            }
            "raw" => self.conditions.push(Condition::Raw(rest.to_owned())),
            "field" => self.fields.push((owned_name, value_text)),
            "unsigned" => self.trust = Trust::Unsigned,
            "wrong" => self.trust = Trust::WrongSignature,
            _ => {}
        }
    }

    async fn play(mut self, gateway: &Gateway) {
        self.sign();
        let body = self.body();
        let step = 1 + self.file.len() % 97;
        let deliveries: Vec<Bytes> = body.chunks(step).map(Bytes::copy_from_slice).collect();
        let mut request = Request::new(deliveries);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::try_from(format!("/{BUCKET}")).expect("the path is ASCII");
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        let kind = HeaderValue::from_str(&kind).expect("the boundary is ASCII");
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, kind);
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:9000"));
        let answer = gateway.send(request).await;
        if !answer.status.is_success() && !answer.status.is_redirection() {
            return;
        }
        assert_eq!(self.trust, Trust::Signed, "stored without a signature");
        if self.is_plain() {
            self.check_conditions();
            let etag = answer.headers[header::ETAG].as_bytes();
            let md5 = hex::encode(Md5::digest(&self.file));
            assert_eq!(etag, format!("\"{md5}\"").as_bytes(), "another file was stored");
        }
    }

    /// Adds the policy, its signature and what must be in both.
    fn sign(&mut self) {
        let signer = Signer::new(ROOT.0, ROOT.1);
        let of_signature = [
            ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
            ("x-amz-credential", &signer.credential),
            ("x-amz-date", &signer.date),
        ];
        for (name, value) in of_signature {
            self.conditions.push(Condition::Eq(name.to_owned(), value.to_owned()));
            self.fields.push((name.to_owned(), value.to_owned()));
        }
        let conditions: Vec<String> = self.conditions.iter().map(Condition::json).collect();
        let expiration = "2099-01-01T00:00:00.000Z";
        let conditions = conditions.join(",");
        let policy = format!("{{\"expiration\":\"{expiration}\",\"conditions\":[{conditions}]}}");
        let policy = STANDARD.encode(policy);
        let mut signature = signer.seal(&policy);
        if self.trust == Trust::WrongSignature {
            let first = if signature.starts_with('0') { "1" } else { "0" };
            signature.replace_range(..1, first);
        }
        self.fields.push(("policy".to_owned(), policy));
        if self.trust != Trust::Unsigned {
            self.fields.push(("x-amz-signature".to_owned(), signature));
        }
    }

    fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, value) in &self.fields {
            let part = format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
            body.extend_from_slice(part.as_bytes());
        }
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; \
             filename=\"{FILE_NAME}\"\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&self.file);
        body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        body
    }

    /// Whether fields and file are what they seem: nothing in them breaks the form's framing.
    fn is_plain(&self) -> bool {
        let delimiter = format!("--{BOUNDARY}");
        let plain_name = |name: &String| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            name.bytes().all(plain) && !name.eq_ignore_ascii_case("file")
        };
        let in_file = self.file.windows(delimiter.len()).any(|run| run == delimiter.as_bytes());
        let plain = |(name, value): &(String, String)| {
            plain_name(name) && !value.contains(&delimiter) && !value.contains(['\r', '\n'])
        };
        !in_file && self.fields.iter().all(plain)
    }

    fn check_conditions(&self) {
        for condition in &self.conditions {
            match condition {
                Condition::Eq(name, value) => {
                    let values = self.values(name);
                    assert!(!values.is_empty(), "{name} is wanted and missing");
                    assert!(values.iter().all(|found| found == value), "{name} is not {value}");
                }
                Condition::StartsWith(name, prefix) => {
                    let values = self.values(name);
                    assert!(values.iter().all(|found| found.starts_with(prefix)), "{name}");
                    assert!(prefix.is_empty() || !values.is_empty(), "{name} is missing");
                }
                Condition::Range(min, max) => {
                    let len = self.file.len() as u64;
                    assert!((*min..=*max).contains(&len), "{len} bytes are not {min} to {max}");
                }
                Condition::Raw(_) => {}
            }
        }
        // A condition of unknown content may cover anything.
        if self.conditions.iter().any(|condition| matches!(condition, Condition::Raw(_))) {
            return;
        }
        for (name, _) in &self.fields {
            let name = name.to_ascii_lowercase();
            let exempt = ["policy", "signature", "awsaccesskeyid", "submit", "x-amz-signature"];
            let is_exempt = exempt.contains(&name.as_str())
                || name.starts_with("x-ignore-")
                || name.starts_with("x-amz-server-side-encryption");
            let covers = |condition: &Condition| condition.name().eq_ignore_ascii_case(&name);
            assert!(is_exempt || self.conditions.iter().any(covers), "{name} has no condition");
        }
    }

    /// What conditions on `name` are held against.
    fn values(&self, name: &str) -> Vec<String> {
        let is_key = name.eq_ignore_ascii_case("key");
        let fields = self.fields.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        let mut values: Vec<String> = fields
            .map(|(_, value)| match is_key {
                true => value.replace("${filename}", FILE_NAME),
                false => value.clone(),
            })
            .collect();
        if name.eq_ignore_ascii_case("bucket") {
            values.push(BUCKET.to_owned());
        }
        values
    }
}

impl Condition {
    fn json(&self) -> String {
        match self {
            Self::Eq(name, value) => format!("[\"eq\",\"${}\",\"{}\"]", json(name), json(value)),
            Self::StartsWith(name, prefix) => {
                format!("[\"starts-with\",\"${}\",\"{}\"]", json(name), json(prefix))
            }
            Self::Range(min, max) => format!("[\"content-length-range\",{min},{max}]"),
            Self::Raw(text) => text.clone(),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Eq(name, _) | Self::StartsWith(name, _) => name,
            Self::Range(..) | Self::Raw(_) => "",
        }
    }
}

/// A text as it stands in a JSON string.
fn json(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\0'..='\x1f' => out.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => out.push(character),
        }
    }
    out
}
