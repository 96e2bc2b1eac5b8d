use gateway_meta::AccountId;
use proptest::prelude::*;

use super::*;

const ANN: u64 = 2;
const BEN: u64 = 3;

fn account(id: u64) -> Principal {
    Principal::Account { account: AccountId(id), access_key_id: String::new() }
}

fn facts(pairs: &[(&str, &str)]) -> PolicyContext {
    let mut context = PolicyContext::default();
    for (key, value) in pairs {
        context.add(key, *value);
    }
    context
}

fn parsed(statements: &str) -> Result<Policy, Malformed> {
    let text = format!(r#"{{"Version":"2012-10-17","Id":"x","Statement":{statements}}}"#);
    Policy::parse(&text, "bucket")
}

struct Case {
    policy: Policy,
}

impl Case {
    fn new(statements: &str) -> Self {
        Self { policy: parsed(statements).unwrap() }
    }

    fn ask(
        &self,
        principal: &Principal,
        action: Action,
        key: Option<&str>,
        pairs: &[(&str, &str)],
    ) -> Verdict {
        let context = facts(pairs);
        let request = PolicyRequest { principal, action, bucket: "bucket", key, context: &context };
        self.policy.judge(&request)
    }
}

/// A statement that allows everybody to read, under a condition.
fn reads_if(condition: &str) -> String {
    format!(
        r#"{{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",
            "Resource":"arn:aws:s3:::bucket/*","Condition":{condition}}}"#
    )
}

/// "Granting read-only permission to an anonymous user".
#[test]
fn public_read_lets_everybody_read_objects_and_nothing_else() {
    let case = Case::new(
        r#"[{"Sid":"PublicRead","Effect":"Allow","Principal":"*",
            "Action":["s3:GetObject","s3:GetObjectVersion"],
            "Resource":["arn:aws:s3:::bucket/*"]}]"#,
    );
    for who in [Principal::Anonymous, account(BEN)] {
        for (action, key, expected) in [
            (Action::GetObject, Some("a/b"), Verdict::Allowed),
            (Action::GetObjectVersion, Some("k"), Verdict::Allowed),
            (Action::PutObject, Some("k"), Verdict::Silent),
            (Action::GetObjectAcl, Some("k"), Verdict::Silent),
            (Action::ListBucket, None, Verdict::Silent),
        ] {
            assert_eq!(case.ask(&who, action, key, &[]), expected, "{action:?}");
        }
    }
}

/// "Granting permissions to multiple accounts with added conditions".
#[test]
fn other_accounts_write_if_the_owner_gets_full_control() {
    let case = Case::new(
        r#"[{"Sid":"AddCannedAcl","Effect":"Allow",
            "Principal":{"AWS":["arn:aws:iam::000000000003:root","000000000004"]},
            "Action":["s3:PutObject"],"Resource":"arn:aws:s3:::bucket/*",
            "Condition":{"StringEquals":{"s3:x-amz-acl":["bucket-owner-full-control"]}}}]"#,
    );
    let full = [("s3:x-amz-acl", "bucket-owner-full-control")];
    let put = |who: &Principal, pairs: &[(&str, &str)]| {
        case.ask(who, Action::PutObject, Some("k"), pairs)
    };
    assert_eq!(put(&account(BEN), &full), Verdict::Allowed);
    assert_eq!(put(&account(4), &full), Verdict::Allowed);
    assert_eq!(put(&account(BEN), &[]), Verdict::Silent);
    assert_eq!(put(&account(5), &full), Verdict::Silent);
    assert_eq!(put(&Principal::Anonymous, &full), Verdict::Silent);
}

/// "Limiting access to specific IP addresses".
#[test]
fn addresses_are_allowed_and_some_of_them_are_not() {
    let case = Case::new(
        r#"[{"Sid":"IPAllow","Effect":"Deny","Principal":"*","Action":"s3:*",
            "Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"],
            "Condition":{"NotIpAddress":{"aws:SourceIp":["192.0.2.0/24","2001:db8::/32"]},
                         "IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}}]"#,
    );
    let from =
        |address| case.ask(&account(ANN), Action::ListBucket, None, &[("aws:SourceIp", address)]);
    assert_eq!(from("192.0.2.77"), Verdict::Silent);
    assert_eq!(from("203.0.113.1"), Verdict::Denied);
    assert_eq!(from("2001:db8::1"), Verdict::Silent);
}

/// "Restricting access to only HTTPS requests".
#[test]
fn unencrypted_requests_are_denied() {
    let case = Case::new(
        r#"{"Effect":"Deny","Principal":"*","Action":"s3:*",
            "Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"],
            "Condition":{"Bool":{"aws:SecureTransport":"false"}}}"#,
    );
    let over = |secure| {
        case.ask(&account(ANN), Action::GetObject, Some("k"), &[("aws:SecureTransport", secure)])
    };
    assert_eq!(over("false"), Verdict::Denied);
    assert_eq!(over("true"), Verdict::Silent);
}

/// "Requiring encryption": what is not said is not encrypted as wanted.
#[test]
fn uploads_without_the_wanted_encryption_are_denied() {
    let case = Case::new(
        r#"[{"Sid":"Wrong","Effect":"Deny","Principal":"*","Action":"s3:PutObject",
             "Resource":"arn:aws:s3:::bucket/*","Condition":{"StringNotEquals":
             {"s3:x-amz-server-side-encryption":"aws:kms"}}},
            {"Sid":"None","Effect":"Deny","Principal":"*","Action":"s3:PutObject",
             "Resource":"arn:aws:s3:::bucket/*","Condition":{"Null":
             {"s3:x-amz-server-side-encryption-aws-kms-key-id":"true"}}}]"#,
    );
    let put = |pairs: &[(&str, &str)]| case.ask(&account(ANN), Action::PutObject, Some("k"), pairs);
    let algorithm = ("s3:x-amz-server-side-encryption", "aws:kms");
    let key = ("s3:x-amz-server-side-encryption-aws-kms-key-id", "key");
    assert_eq!(put(&[]), Verdict::Denied);
    assert_eq!(put(&[algorithm]), Verdict::Denied);
    assert_eq!(put(&[("s3:x-amz-server-side-encryption", "AES256"), key]), Verdict::Denied);
    assert_eq!(put(&[algorithm, key]), Verdict::Silent);
}

/// "Restricting access to a specific HTTP referer".
#[test]
fn pages_of_one_site_may_embed_objects() {
    let case = Case::new(&reads_if(
        r#"{"StringLike":{"aws:Referer":["http://www.example.com/*","http://example.com/*"]}}"#,
    ));
    let get = |pairs: &[(&str, &str)]| {
        case.ask(&Principal::Anonymous, Action::GetObject, Some("k"), pairs)
    };
    assert_eq!(get(&[("aws:Referer", "http://example.com/page")]), Verdict::Allowed);
    assert_eq!(get(&[("aws:Referer", "http://evil.example/")]), Verdict::Silent);
    assert_eq!(get(&[]), Verdict::Silent);
}

/// "User-specific folders": home directories by policy variables.
#[test]
fn everybody_has_a_home() {
    let case = Case::new(
        r#"[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"s3:ListBucket",
             "Resource":"arn:aws:s3:::bucket",
             "Condition":{"StringLike":{"s3:prefix":["","home/","home/${aws:username}/*"]}}},
            {"Effect":"Allow","Principal":{"AWS":"*"},"Action":"s3:*Object",
             "Resource":"arn:aws:s3:::bucket/home/${aws:username}/*"}]"#,
    );
    let ben = account(BEN);
    let named = ("aws:username", "ben");
    let list = |prefix| case.ask(&ben, Action::ListBucket, None, &[named, ("s3:prefix", prefix)]);
    assert_eq!(list(""), Verdict::Allowed);
    assert_eq!(list("home/ben/x"), Verdict::Allowed);
    assert_eq!(list("home/ann/"), Verdict::Silent);
    let put = |key| case.ask(&ben, Action::PutObject, Some(key), &[named]);
    assert_eq!(put("home/ben/k"), Verdict::Allowed);
    assert_eq!(put("home/ann/k"), Verdict::Silent);
    let nameless = case.ask(&Principal::Anonymous, Action::PutObject, Some("home//k"), &[]);
    assert_eq!(nameless, Verdict::Silent);
}

/// "Managing tagged objects".
#[test]
fn tags_decide() {
    let case = Case::new(
        r#"[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",
             "Resource":"arn:aws:s3:::bucket/*",
             "Condition":{"StringEquals":{"s3:ExistingObjectTag/public":"yes"}}},
            {"Effect":"Allow","Principal":{"AWS":"000000000003"},"Action":"s3:PutObjectTagging",
             "Resource":"arn:aws:s3:::bucket/*",
             "Condition":{"ForAllValues:StringLike":{"s3:RequestObjectTagKeys":["Owner","Cost*"]}}}]"#,
    );
    assert!(case.policy.looks_at_existing_tags());
    let get = |pairs: &[(&str, &str)]| {
        case.ask(&Principal::Anonymous, Action::GetObject, Some("k"), pairs)
    };
    assert_eq!(get(&[("s3:ExistingObjectTag/public", "yes")]), Verdict::Allowed);
    assert_eq!(get(&[("s3:ExistingObjectTag/Public", "yes")]), Verdict::Silent);
    assert_eq!(get(&[]), Verdict::Silent);
    let keys = "s3:RequestObjectTagKeys";
    let tag = |pairs: &[(&str, &str)]| {
        case.ask(&account(BEN), Action::PutObjectTagging, Some("k"), pairs)
    };
    assert_eq!(tag(&[(keys, "Owner"), (keys, "CostCenter")]), Verdict::Allowed);
    assert_eq!(tag(&[(keys, "Owner"), (keys, "Public")]), Verdict::Silent);
}

/// "Object lock: limiting retention".
#[test]
fn retention_may_be_limited() {
    let case = Case::new(
        r#"{"Effect":"Deny","Principal":"*","Action":"s3:PutObjectRetention",
            "Resource":"arn:aws:s3:::bucket/*","Condition":{"NumericGreaterThan":
            {"s3:object-lock-remaining-retention-days":"10"}}}"#,
    );
    let keep = |days| {
        let pairs = [("s3:object-lock-remaining-retention-days", days)];
        case.ask(&account(ANN), Action::PutObjectRetention, Some("k"), &pairs)
    };
    assert_eq!(keep("10"), Verdict::Silent);
    assert_eq!(keep("11"), Verdict::Denied);
}

#[test]
fn several_values_are_compared_as_documented() {
    let keys = "s3:RequestObjectTagKeys";
    for (operator, values, found, expected) in [
        ("ForAnyValue:StringEquals", r#"["a","b"]"#, &["b", "c"][..], true),
        ("ForAnyValue:StringEquals", r#"["a","b"]"#, &["c"], false),
        ("ForAnyValue:StringEquals", r#"["a"]"#, &[], false),
        ("ForAllValues:StringEquals", r#"["a","b"]"#, &["a", "b"], true),
        ("ForAllValues:StringEquals", r#"["a"]"#, &["a", "b"], false),
        ("ForAllValues:StringEquals", r#"["a"]"#, &[], true),
        ("ForAllValues:StringNotEquals", r#"["a"]"#, &["b", "c"], true),
        ("ForAllValues:StringNotEquals", r#"["a"]"#, &["a", "c"], false),
        ("ForAnyValue:StringNotEquals", r#"["a"]"#, &["a", "c"], true),
        ("ForAnyValue:StringNotEquals", r#"["a"]"#, &["a"], false),
        ("ForAnyValue:StringNotEquals", r#"["a"]"#, &[], false),
        ("StringEquals", r#"["a","b"]"#, &["b"], true),
        ("StringEquals", r#""a""#, &[], false),
        ("StringNotEquals", r#"["a","b"]"#, &["b"], false),
        ("StringNotEquals", r#"["a","b"]"#, &["c"], true),
        ("StringNotEquals", r#""a""#, &[], true),
        ("StringEqualsIfExists", r#""a""#, &[], true),
        ("StringEqualsIfExists", r#""a""#, &["b"], false),
        ("ForAnyValue:StringEqualsIfExists", r#""a""#, &[], true),
        ("Null", r#"true"#, &[], true),
        ("Null", r#"true"#, &["a"], false),
        ("Null", r#""false""#, &["a"], true),
        ("NumericLessThan", r#"5"#, &["4"], true),
    ] {
        let case = Case::new(&reads_if(&format!(r#"{{"{operator}":{{"{keys}":{values}}}}}"#)));
        let pairs: Vec<(&str, &str)> = found.iter().map(|value| (keys, *value)).collect();
        let verdict = case.ask(&Principal::Anonymous, Action::GetObject, Some("k"), &pairs);
        let expected = if expected { Verdict::Allowed } else { Verdict::Silent };
        assert_eq!(verdict, expected, "{operator} {values} {found:?}");
    }
}

#[test]
fn opposites_are_everything_else() {
    let case = Case::new(
        r#"[{"Effect":"Deny","NotPrincipal":{"AWS":"arn:aws:iam::000000000002:user/ann"},
             "NotAction":["s3:GetObject"],"NotResource":"arn:aws:s3:::bucket/open/*"}]"#,
    );
    let ask = |who: u64, action, key| case.ask(&account(who), action, Some(key), &[]);
    assert_eq!(ask(BEN, Action::PutObject, "k"), Verdict::Denied);
    assert_eq!(ask(ANN, Action::PutObject, "k"), Verdict::Silent);
    assert_eq!(ask(BEN, Action::GetObject, "k"), Verdict::Silent);
    assert_eq!(ask(BEN, Action::PutObject, "open/k"), Verdict::Silent);
}

#[test]
fn actions_ignore_case_and_resources_do_not() {
    let case = Case::new(
        r#"{"Effect":"Allow","Principal":"*","Action":["S3:GETOBJECT","s3:Delete*"],
            "Resource":"arn:aws:s3:::bucket/Photos/*.jp?g"}"#,
    );
    let ask = |action, key| case.ask(&Principal::Anonymous, action, Some(key), &[]);
    assert_eq!(ask(Action::GetObject, "Photos/a/b.jpeg"), Verdict::Allowed);
    assert_eq!(ask(Action::DeleteObjectVersion, "Photos/b.jpeg"), Verdict::Allowed);
    assert_eq!(ask(Action::GetObject, "photos/b.jpeg"), Verdict::Silent);
    assert_eq!(ask(Action::GetObject, "Photos/b.jpg"), Verdict::Silent);
}

#[test]
fn older_versions_have_no_variables() {
    let text = |version: &str| {
        format!(
            r#"{{{version}"Statement":{{"Effect":"Allow","Principal":"*","Action":"s3:GetObject",
                "Resource":"arn:aws:s3:::bucket/${{aws:username}}"}}}}"#
        )
    };
    let ask = |version: &str, key| {
        let case = Case { policy: Policy::parse(&text(version), "bucket").unwrap() };
        case.ask(&account(ANN), Action::GetObject, Some(key), &[("aws:username", "ann")])
    };
    assert_eq!(ask(r#""Version":"2012-10-17","#, "ann"), Verdict::Allowed);
    for old in ["", r#""Version":"2008-10-17","#] {
        assert_eq!(ask(old, "ann"), Verdict::Silent);
        assert_eq!(ask(old, "${aws:username}"), Verdict::Allowed);
    }
}

#[test]
fn judgements_of_one_request_share_a_budget() {
    let case = Case::new(
        r#"{"Effect":"Allow","Principal":"*","Action":"s3:DeleteObject",
            "Resource":"arn:aws:s3:::bucket/*"}"#,
    );
    let context = PolicyContext::default();
    let request = PolicyRequest {
        principal: &Principal::Anonymous,
        action: Action::DeleteObject,
        bucket: "bucket",
        key: Some("key"),
        context: &context,
    };
    let budget = pattern::Budget::of(1000);
    let verdicts: Vec<Verdict> =
        (0..100).map(|_| case.policy.judge_within(&budget, &request)).collect();
    let allowed = verdicts.iter().take_while(|verdict| **verdict == Verdict::Allowed).count();
    assert!((2..50).contains(&allowed), "{allowed}");
    assert!(verdicts[allowed..].iter().all(|verdict| *verdict == Verdict::Denied));
    assert_eq!(case.policy.judge(&request), Verdict::Allowed);
}

#[test]
fn requests_that_take_too_long_are_denied() {
    let pattern = format!("arn:aws:s3:::bucket/*{}b", "a".repeat(500));
    let one = format!(
        r#"{{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":[{}]}}"#,
        vec![format!("\"{pattern}\""); 36].join(",")
    );
    let case = Case::new(&one);
    let slow = case.ask(&Principal::Anonymous, Action::GetObject, Some(&"a".repeat(1024)), &[]);
    assert_eq!(slow, Verdict::Denied);
    let fast = case.ask(&Principal::Anonymous, Action::GetObject, Some("a"), &[]);
    assert_eq!(fast, Verdict::Silent);
}

/// A policy of one statement that lets everybody read, with some of its elements replaced; what is
/// replaced by nothing is left out.
fn reading(replaced: &[(&str, &str)]) -> String {
    let elements = [
        ("Effect", r#""Allow""#),
        ("Principal", r#""*""#),
        ("Action", r#""s3:GetObject""#),
        ("Resource", r#""arn:aws:s3:::bucket/*""#),
        ("Condition", "{}"),
    ];
    let named = |name: &str| replaced.iter().rev().find(|(replaced, _)| *replaced == name);
    let kept = elements.iter().filter(|(name, _)| named(name).is_none());
    let written: Vec<String> = kept
        .chain(replaced)
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!(r#""{name}":{value}"#))
        .collect();
    format!(r#"{{"Statement":[{{{}}}]}}"#, written.join(","))
}

fn refusal(text: &str) -> String {
    Policy::parse(text, "bucket").unwrap_err().to_string()
}

#[test]
fn documents_that_are_no_policies_are_refused_in_the_words_of_aws() {
    const NO_JSON: &str = "Policies must be valid JSON and the first byte must be '{'";
    let twice = r#"{"Statement":[],"Statement":[]}"#;
    for text in ["", "[]", "{", " {}", "null", twice] {
        assert_eq!(refusal(text), NO_JSON, "{text}");
    }
    let same_sid = reading(&[("Sid", "\"a\"")]);
    let statement = same_sid.trim_start_matches("{\"Statement\":[").trim_end_matches("]}");
    let same_sid = format!(r#"{{"Statement":[{statement},{statement}]}}"#);
    for (text, message) in [
        ("{}", "Missing required field Statement"),
        (r#"{"Statement":[]}"#, "Could not parse the policy: Statement is empty!"),
        (r#"{"Statement":[],"Comment":""}"#, "Unknown field Comment"),
        (r#"{"Statement":"x"}"#, "Syntax errors in policy: Statement"),
        (r#"{"Statement":[],"Id":1}"#, "Syntax errors in policy: Id"),
        (
            r#"{"Version":"2020-01-01","Statement":[]}"#,
            "The policy must contain a valid version string",
        ),
        (&same_sid, "Statement IDs (SID) in a single policy must be unique."),
    ] {
        assert_eq!(refusal(text), message, "{text}");
    }
}

#[test]
fn statements_that_are_none_are_refused_in_the_words_of_aws() {
    const OUT_OF_REACH: &str = "Action does not apply to any resource(s) in statement";
    const NO_RESOURCE: &str = "Policy has invalid resource";
    assert!(Policy::parse(&reading(&[]), "bucket").is_ok());
    for (replaced, message) in [
        (&[("Note", "1")][..], "Unknown field Note"),
        (&[("Effect", "")], "Missing required field Effect"),
        (&[("Effect", "\"Permit\"")], "Invalid effect: Permit"),
        (&[("Principal", "")], "Missing required field Principal"),
        (&[("Principal", "{\"AWS\":\"ann\"}")], "Invalid principal in policy"),
        (&[("Action", "")], "Missing required field Action"),
        (&[("Action", "\"s3:Nothing\"")], "Policy has invalid action"),
        (&[("Action", "\"ec2:*\"")], "Policy has invalid action"),
        (&[("NotAction", "\"s3:*\"")], "Syntax errors in policy: NotAction"),
        (&[("Resource", "")], "Missing required field Resource"),
        (&[("Resource", "\"arn:aws:s3:::other/*\"")], NO_RESOURCE),
        (&[("Resource", "\"bucket/*\"")], NO_RESOURCE),
        (&[("Resource", "\"arn:aws:s3:::${aws:username}/*\"")], NO_RESOURCE),
        (&[("Resource", "\"arn:aws:s3:::bucket\"")], OUT_OF_REACH),
        (&[("Action", "[\"s3:GetObject\",\"s3:ListBucket\"]")], OUT_OF_REACH),
        (&[("Action", "\"s3:ListAllMyBuckets\""), ("Resource", "\"*\"")], OUT_OF_REACH),
        (&[("Condition", "[]")], "Syntax errors in policy: Condition"),
        (
            &[("Condition", r#"{"StringMatches":{"aws:Referer":"x"}}"#)],
            "Invalid Condition type : StringMatches",
        ),
        (
            &[("Condition", r#"{"StringEquals":{"s3:nosuch":"x"}}"#)],
            "Policy has an invalid condition key",
        ),
        (
            &[("Condition", r#"{"IpAddress":{"aws:SourceIp":"here"}}"#)],
            "Policy has an invalid condition value for aws:SourceIp",
        ),
    ] {
        assert_eq!(refusal(&reading(replaced)), message, "{replaced:?}");
    }
}

#[test]
fn length_is_bounded() {
    let text = |len: usize| {
        let body = reads_if("{}");
        let text = format!(r#"{{"Id":"","Statement":{body}}}"#);
        let id = "x".repeat(len - text.len());
        format!(r#"{{"Id":"{id}","Statement":{body}}}"#)
    };
    assert!(Policy::parse(&text(POLICY_LEN_BYTES_MAX), "bucket").is_ok());
    let long = Policy::parse(&text(POLICY_LEN_BYTES_MAX + 1), "bucket");
    assert_eq!(long.unwrap_err(), Malformed::TooLong);
}

#[test]
fn resources_may_describe_the_bucket() {
    let with = |resource: &str| {
        parsed(&format!(
            r#"{{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"{resource}"}}"#
        ))
    };
    for resource in [
        "*",
        "arn:aws:s3:::*",
        "arn:aws:s3:::buck*",
        "arn:aws:s3:::buc?et/x",
        "arn:aws:s3:::bucket",
    ] {
        assert!(with(resource).is_ok(), "{resource}");
    }
    for resource in [
        "arn:aws:s3:::bucket2",
        "arn:aws:s3:::bucket2/*",
        "arn:aws:s3:::buck",
        "arn:aws:s3:::",
        "arn:aws:iam:::x",
    ] {
        assert_eq!(with(resource).unwrap_err(), Malformed::Resource, "{resource}");
    }
}

#[test]
fn public_is_what_lets_in_people_that_are_not_named() {
    let statement = |effect: &str, principal: &str, condition: &str| {
        format!(
            r#"{{"Effect":"{effect}",{principal},"Action":"s3:GetObject",
                "Resource":"arn:aws:s3:::bucket/*","Condition":{condition}}}"#
        )
    };
    let everyone = r#""Principal":"*""#;
    let ben = r#""Principal":{"AWS":"000000000003"}"#;
    for (effect, principal, condition, expected) in [
        ("Allow", everyone, "{}", true),
        ("Allow", r#""Principal":{"AWS":"*"}"#, "{}", true),
        ("Allow", r#""NotPrincipal":{"AWS":"000000000003"}"#, "{}", true),
        ("Allow", ben, "{}", false),
        ("Deny", everyone, "{}", false),
        ("Allow", everyone, r#"{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, false),
        ("Allow", everyone, r#"{"IpAddress":{"aws:SourceIp":"0.0.0.0/1"}}"#, true),
        ("Allow", everyone, r#"{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, true),
        ("Allow", everyone, r#"{"StringLike":{"aws:Referer":"http://example.com/*"}}"#, true),
        ("Allow", everyone, r#"{"StringEquals":{"aws:PrincipalAccount":"000000000003"}}"#, false),
        ("Allow", everyone, r#"{"StringLike":{"aws:PrincipalAccount":"*"}}"#, true),
        ("Allow", everyone, r#"{"StringEquals":{"aws:userid":"${aws:userid}"}}"#, true),
        ("Allow", everyone, r#"{"StringEqualsIfExists":{"aws:SourceVpc":"vpc-1"}}"#, true),
    ] {
        let policy = parsed(&statement(effect, principal, condition)).unwrap();
        assert_eq!(policy.is_public(), expected, "{effect} {principal} {condition}");
    }
}

/// Statements of many kinds, all about the requests below.
fn statement() -> impl Strategy<Value = String> {
    let effect = prop_oneof![Just("Allow"), Just("Deny")];
    let principal = prop_oneof![
        Just(r#""Principal":"*""#),
        Just(r#""Principal":{"AWS":"000000000002"}"#),
        Just(r#""NotPrincipal":{"AWS":"000000000002"}"#),
    ];
    let action = prop_oneof![
        Just(r#""Action":"s3:GetObject""#),
        Just(r#""Action":"s3:*""#),
        Just(r#""NotAction":"s3:GetObject""#),
    ];
    let resource = prop_oneof![
        Just(r#""Resource":"arn:aws:s3:::bucket/*""#),
        Just(r#""Resource":"arn:aws:s3:::bucket/a*""#),
        Just(r#""NotResource":"arn:aws:s3:::bucket/a*""#),
    ];
    let condition = prop_oneof![
        Just("{}"),
        Just(r#"{"Bool":{"aws:SecureTransport":"true"}}"#),
        Just(r#"{"Null":{"aws:Referer":"true"}}"#),
    ];
    (effect, principal, action, resource, condition).prop_map(
        |(effect, principal, action, resource, condition)| {
            format!(
                r#"{{"Effect":"{effect}",{principal},{action},{resource},"Condition":{condition}}}"#
            )
        },
    )
}

fn verdict(statements: &[String], who: u64, key: &str, secure: bool) -> Verdict {
    let case = Case::new(&format!("[{}]", statements.join(",")));
    let secure = secure.to_string();
    let pairs = [("aws:SecureTransport", secure.as_str())];
    case.ask(&account(who), Action::GetObject, Some(key), &pairs)
}

proptest! {
    #[test]
    fn order_does_not_matter_and_a_denial_always_wins(
        statements in proptest::collection::vec(statement(), 1..6),
        who in ANN..=BEN,
        key in prop_oneof![Just("a"), Just("b")],
        secure in any::<bool>(),
        turn in any::<usize>(),
    ) {
        let all = verdict(&statements, who, key, secure);
        let mut turned = statements.clone();
        turned.rotate_left(turn % statements.len());
        prop_assert_eq!(verdict(&turned, who, key, secure), all);
        turned.reverse();
        prop_assert_eq!(verdict(&turned, who, key, secure), all);
        // One at a time, and the documented way to put them together.
        let each: Vec<Verdict> = statements
            .iter()
            .map(|one| verdict(std::slice::from_ref(one), who, key, secure))
            .collect();
        let expected = match () {
            () if each.contains(&Verdict::Denied) => Verdict::Denied,
            () if each.contains(&Verdict::Allowed) => Verdict::Allowed,
            () => Verdict::Silent,
        };
        prop_assert_eq!(all, expected);
    }

    #[test]
    fn any_text_is_read_without_panic(text in ".{0,200}") {
        let _ = Policy::parse(&text, "bucket");
        let statements = serde_json::to_string(&text).unwrap();
        let _ = parsed(&statements);
    }
}
