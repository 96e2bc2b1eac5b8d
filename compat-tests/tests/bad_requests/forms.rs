//! Uploads by a browser's form.
//!
//! "Browser-based uploads using POST": the codes of a form that is none, of a policy that is none,
//! that has expired or that does not hold, and of a signature that is wrong.

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::row::{Message, Row, Stage, row};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = policies();
    rows.extend(signatures());
    rows.extend(framing());
    rows
}

/// A form being filled in.
struct Form {
    expiration: &'static str,
    /// The whole policy, instead of what the fields call for.
    policy: Option<String>,
    conditions: Vec<String>,
    fields: Vec<(String, String)>,
    file: Option<Vec<u8>>,
    secret_key: String,
    access_key: String,
    scope: &'static str,
    date: Option<&'static str>,
    signature: Option<&'static str>,
}

impl Form {
    fn new(s: &Stage) -> Self {
        Self {
            expiration: "2099-01-01T00:00:00.000Z",
            policy: None,
            conditions: vec![format!("{{\"bucket\":\"{}\"}}", s.bucket)],
            fields: Vec::new(),
            file: Some(b"data".to_vec()),
            secret_key: s.secret_key.clone(),
            access_key: s.access_key.clone(),
            scope: "us-east-1/s3/aws4_request",
            date: None,
            signature: None,
        }
        .field("key", "new")
    }

    /// Adds a field and a condition that it is so.
    fn field(mut self, name: &str, value: &str) -> Self {
        self.conditions.push(format!("[\"eq\",\"${name}\",\"{value}\"]"));
        self.open_field(name, value)
    }

    /// Adds a field that no condition names.
    fn open_field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    fn condition(mut self, condition: &str) -> Self {
        self.conditions.push(condition.to_owned());
        self
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a request to a real server is signed in real time"
    )]
    fn sign(mut self, s: &Stage) -> Self {
        let now = Message::from(s.get("/")).header("x-amz-date");
        let date = self.date.map_or(now, str::to_owned);
        let credential = format!("{}/{}/{}", self.access_key, &date[..8], self.scope);
        self = self
            .field("x-amz-algorithm", "AWS4-HMAC-SHA256")
            .field("x-amz-credential", &credential)
            .field("x-amz-date", &date);
        let policy = self.policy.take().unwrap_or_else(|| {
            let conditions = self.conditions.join(",");
            format!("{{\"expiration\":\"{}\",\"conditions\":[{conditions}]}}", self.expiration)
        });
        let policy = STANDARD.encode(policy);
        let now = std::time::SystemTime::now();
        let key = generate_signing_key(&self.secret_key, now, "us-east-1", "s3");
        let signature = calculate_signature(key, policy.as_bytes());
        let signature = self.signature.map_or(signature, str::to_owned);
        self.open_field("policy", &policy).open_field("x-amz-signature", &signature)
    }

    fn message(self, s: &Stage) -> Message {
        let mut body = Vec::new();
        for (name, value) in &self.fields {
            let head = format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
            body.extend_from_slice(format!("{head}{value}\r\n").as_bytes());
        }
        if let Some(file) = &self.file {
            let head =
                "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n";
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(file);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--XX--\r\n");
        post(s, "multipart/form-data; boundary=XX", body)
    }
}

fn post(s: &Stage, content_type: &str, body: Vec<u8>) -> Message {
    s.post("").anonymous().header("content-type", content_type).body(body).into()
}

/// A row of a form that is filled in by `change` and signed then.
fn form(
    name: &str,
    status: u16,
    code: &'static str,
    change: impl Fn(Form) -> Form + Send + Sync + 'static,
) -> Row {
    row(name, status, code, move |s| change(Form::new(s)).sign(s).message(s))
}

fn policies() -> Vec<Row> {
    let range = |min: u32, max: u32| format!("[\"content-length-range\",{min},{max}]");
    let (tight, loose) = (range(0, 3), range(5, 9));
    let mut rows = vec![
        form("form that has expired", 403, "AccessDenied", |form| Form {
            expiration: "2020-01-01T00:00:00.000Z",
            ..form
        }),
        form("form for another key", 403, "AccessDenied", |form| {
            form.condition("[\"eq\",\"$key\",\"other\"]")
        }),
        form("form for another prefix", 403, "AccessDenied", |form| {
            form.condition("[\"starts-with\",\"$key\",\"up/\"]")
        }),
        form("form for another bucket", 403, "AccessDenied", |form| {
            form.condition("{\"bucket\":\"other\"}")
        }),
        form("form with a field its policy does not name", 403, "AccessDenied", |form| {
            form.open_field("x-amz-meta-a", "1")
        }),
        form("form with a field that has a NUL", 400, "InvalidRequest", |form| {
            form.condition("[\"eq\",\"$x-amz-meta-a\",\"b\"]").open_field("x-amz-meta-a", "a\0")
        }),
        form("form with too large a file", 400, "EntityTooLarge", move |form| {
            form.condition(&tight)
        }),
        form("form with too small a file", 400, "EntityTooSmall", move |form| {
            form.condition(&loose)
        }),
        row("form without a key", 400, "InvalidArgument", |s| {
            let conditions = vec![format!("{{\"bucket\":\"{}\"}}", s.bucket)];
            Form { fields: Vec::new(), conditions, ..Form::new(s) }.sign(s).message(s)
        })
        .says("ArgumentName", "key"),
        form("form without a file", 400, "InvalidArgument", |form| Form { file: None, ..form })
            .says("ArgumentName", "file"),
        form("form with an ACL", 400, "AccessControlListNotSupported", |form| {
            form.field("acl", "public-read")
        }),
        form("form with a key of 1,025 bytes", 400, "KeyTooLongError", |form| {
            let fields = vec![("key".to_owned(), "k".repeat(1025))];
            Form {
                fields,
                conditions: vec![
                    form.conditions[0].clone(),
                    "[\"starts-with\",\"$key\",\"\"]".to_owned(),
                ],
                ..form
            }
        }),
    ];
    for (what, policy) in [
        ("no JSON", "policy"),
        ("an empty object", "{}"),
        ("a list", "[]"),
        ("without conditions", "{\"expiration\":\"2099-01-01T00:00:00.000Z\"}"),
        ("without an expiration", "{\"conditions\":[]}"),
        ("with an expiration that is none", "{\"expiration\":\"soon\",\"conditions\":[]}"),
    ] {
        rows.push(form(
            &format!("form policy is {what}"),
            400,
            "InvalidPolicyDocument",
            move |form| Form { policy: Some(policy.to_owned()), ..form },
        ));
    }
    rows
}

fn signatures() -> Vec<Row> {
    vec![
        row("form without a signature", 403, "AccessDenied", |s| Form::new(s).message(s)),
        form("form with the wrong secret", 403, "SignatureDoesNotMatch", |form| Form {
            secret_key: "wrong".to_owned(),
            ..form
        })
        .tells(&[
            "AWSAccessKeyId",
            "StringToSign",
            "SignatureProvided",
            "StringToSignBytes",
        ]),
        form("form with an unknown key id", 403, "InvalidAccessKeyId", |form| Form {
            access_key: "NOSUCHACCESSKEY00000".to_owned(),
            ..form
        })
        .says("AWSAccessKeyId", "NOSUCHACCESSKEY00000"),
        form("form with a signature of no hex", 403, "SignatureDoesNotMatch", |form| Form {
            signature: Some("zz"),
            ..form
        }),
        form("form signed for another region", 400, "AuthorizationHeaderMalformed", |form| Form {
            scope: "eu-west-9/s3/aws4_request",
            ..form
        }),
        form("form signed for another service", 400, "AuthorizationHeaderMalformed", |form| Form {
            scope: "us-east-1/ec2/aws4_request",
            ..form
        }),
        form("form signed long ago", 403, "RequestTimeTooSkewed", |form| Form {
            date: Some("20200101T000000Z"),
            ..form
        }),
    ]
}

fn framing() -> Vec<Row> {
    let malformed = "MalformedPOSTRequest";
    let of = |name: &str, content_type: &'static str, body: &'static str| {
        row(name, 400, malformed, move |s| post(s, content_type, body.as_bytes().to_vec()))
    };
    let part = "--XX\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nnew\r\n";
    vec![
        of("form without a boundary", "multipart/form-data", "--XX--\r\n"),
        of("form that is empty", "multipart/form-data; boundary=XX", ""),
        of("form of another boundary", "multipart/form-data; boundary=XX", "--YY--\r\n"),
        of("form that does not end", "multipart/form-data; boundary=XX", part),
        of(
            "form part without a name",
            "multipart/form-data; boundary=XX",
            "--XX\r\nContent-Disposition: form-data\r\n\r\nnew\r\n--XX--\r\n",
        ),
        row("form of unknown length", 411, "MissingContentLength", |s| {
            let post = s.post("").anonymous().without_content_length();
            let post = post.header("content-type", "multipart/form-data; boundary=XX");
            let mut bytes = post.unsigned_header("transfer-encoding", "chunked").into_message();
            bytes.extend_from_slice(b"8\r\n--XX--\r\n\r\n0\r\n\r\n");
            bytes
        }),
        row("form field of 1 MiB", 400, "MaxPostPreDataLengthExceeded", |s| {
            let form = Form::new(s).open_field("x-amz-meta-a", &"a".repeat(1 << 20));
            form.message(s)
        }),
        row("form of 1,000 fields", 400, malformed, |s| {
            let form =
                (0..1000).fold(Form::new(s), |form, n| form.open_field(&format!("f{n}"), ""));
            form.message(s)
        }),
        row("form that is cut short", 400, malformed, |s| {
            let mut message = Form::new(s).sign(s).message(s);
            let len = message.bytes.len();
            message.bytes.truncate(len - 600);
            message.cut_short()
        })
        .closes(),
    ]
}
