//! Every kind of bucket configuration: what is set is told, what is wrong is refused and changes
//! nothing, and what is removed is gone.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::harness::{ANN, Answer, BEN, Edge, ROOT};

/// Longer than any document of a configuration may be.
const OVERSIZED_LEN_BYTES: usize = 5 << 20;

/// A kind of configuration.
struct Kind {
    /// How it is asked for.
    query: &'static str,
    /// The root of its document.
    root: &'static str,
    /// Two documents that are taken, without their root.
    valid: [&'static str; 2],
    /// Documents that are refused, without their root, and the error of each.
    refused: &'static [(&'static str, u16, &'static str)],
    /// What is told where nothing was set: an error, or the inside of a document.
    unset: Unset,
    /// Whether it can be removed.
    is_removable: bool,
    /// The error of a document that is not there.
    empty: (u16, &'static str),
    /// Whether elements that the schema does not have are refused, or passed over.
    is_strict: bool,
    /// A bucket that can have it.
    bucket: &'static str,
}

enum Unset {
    Error(&'static str),
    Told(&'static str),
}

const MALFORMED: (u16, &str) = (400, "MalformedXML");
const MISSING: (u16, &str) = (400, "MissingRequestBodyError");

const TAG: &str = "<TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet>";

const KINDS: &[Kind] = &[
    Kind {
        query: "tagging",
        root: "Tagging",
        valid: [
            TAG,
            "<TagSet><Tag><Key>z</Key><Value></Value></Tag>\
             <Tag><Key>b</Key><Value>2 @x</Value></Tag></TagSet>",
        ],
        refused: &[
            ("", 400, "MalformedXML"),
            ("<TagSet><Tag><Key>a</Key></Tag></TagSet>", 400, "MalformedXML"),
            (
                "<TagSet><Tag><Key>a</Key><Value>1</Value></Tag>\
                 <Tag><Key>a</Key><Value>2</Value></Tag></TagSet>",
                400,
                "InvalidTag",
            ),
            ("<TagSet><Tag><Key>aws:a</Key><Value>1</Value></Tag></TagSet>", 400, "InvalidTag"),
        ],
        unset: Unset::Error("NoSuchTagSet"),
        is_removable: true,
        empty: MISSING,
        is_strict: true,
        bucket: "bucket",
    },
    Kind {
        query: "requestPayment",
        root: "RequestPaymentConfiguration",
        valid: ["<Payer>Requester</Payer>", "<Payer>BucketOwner</Payer>"],
        refused: &[
            ("<Payer>Nobody</Payer>", 400, "MalformedXML"),
            ("<Payer>Requester</Payer><Payer>Requester</Payer>", 400, "MalformedXML"),
        ],
        unset: Unset::Told("<Payer>BucketOwner</Payer>"),
        is_removable: false,
        empty: MISSING,
        is_strict: true,
        bucket: "bucket",
    },
    Kind {
        query: "logging",
        root: "BucketLoggingStatus",
        valid: [
            "<LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix>p/</TargetPrefix>\
             <TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>EventTime\
             </PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat></LoggingEnabled>",
            "<LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix></TargetPrefix>\
             </LoggingEnabled>",
        ],
        refused: &[
            (
                "<LoggingEnabled><TargetBucket>nosuch</TargetBucket><TargetPrefix></TargetPrefix>\
                 </LoggingEnabled>",
                400,
                "InvalidTargetBucketForLogging",
            ),
            (
                "<LoggingEnabled><TargetBucket>bens</TargetBucket><TargetPrefix></TargetPrefix>\
                 </LoggingEnabled>",
                400,
                "InvalidTargetBucketForLogging",
            ),
            (
                "<LoggingEnabled><TargetBucket>logs</TargetBucket></LoggingEnabled>",
                400,
                "MalformedXML",
            ),
            (
                "<LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix></TargetPrefix>\
                 <TargetObjectKeyFormat><PartitionedPrefix/><SimplePrefix/></TargetObjectKeyFormat>\
                 </LoggingEnabled>",
                400,
                "MalformedXML",
            ),
            (
                "<LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix></TargetPrefix>\
                 <TargetGrants><Grant><Permission>READ</Permission></Grant></TargetGrants>\
                 </LoggingEnabled>",
                400,
                "AccessControlListNotSupported",
            ),
        ],
        unset: Unset::Told(""),
        is_removable: false,
        empty: MISSING,
        is_strict: true,
        bucket: "bucket",
    },
    Kind {
        query: "accelerate",
        root: "AccelerateConfiguration",
        valid: ["<Status>Enabled</Status>", "<Status>Suspended</Status>"],
        refused: &[("<Status>On</Status>", 400, "MalformedXML"), ("", 400, "MalformedXML")],
        unset: Unset::Told(""),
        is_removable: false,
        empty: MISSING,
        is_strict: true,
        bucket: "bucket",
    },
    Kind {
        query: "abac",
        root: "AbacStatus",
        valid: ["<Status>Enabled</Status>", "<Status>Disabled</Status>"],
        refused: &[("<Status>On</Status>", 400, "MalformedXML"), ("", 400, "MalformedXML")],
        unset: Unset::Told("<Status>Disabled</Status>"),
        is_removable: false,
        empty: MISSING,
        is_strict: true,
        bucket: "bucket",
    },
    Kind {
        query: "analytics&id=one",
        root: "AnalyticsConfiguration",
        valid: [
            "<Id>one</Id><Filter><And><Prefix>p</Prefix><Tag><Key>a</Key><Value>1</Value></Tag>\
             <Tag><Key>b</Key><Value>2</Value></Tag></And></Filter><StorageClassAnalysis>\
             <DataExport><OutputSchemaVersion>V_1</OutputSchemaVersion><Destination>\
             <S3BucketDestination><Format>CSV</Format><BucketAccountId>123456789012\
             </BucketAccountId><Bucket>arn:aws:s3:::results</Bucket><Prefix>x</Prefix>\
             </S3BucketDestination></Destination></DataExport></StorageClassAnalysis>",
            "<Id>one</Id><StorageClassAnalysis></StorageClassAnalysis>",
        ],
        refused: &[
            ("<Id>two</Id><StorageClassAnalysis/>", 400, "IdMismatch"),
            ("<Id>one</Id><Id>one</Id><StorageClassAnalysis/>", 400, "MalformedXML"),
            ("<Id>one</Id>", 400, "MalformedXML"),
            ("<Id>one</Id><Filter/><StorageClassAnalysis/>", 400, "MalformedXML"),
            (
                "<Id>one</Id><Filter><AccessPointArn>arn:x</AccessPointArn></Filter>\
                 <StorageClassAnalysis/>",
                400,
                "MalformedXML",
            ),
            (
                "<Id>one</Id><Filter><And><Prefix>p</Prefix></And></Filter>\
                 <StorageClassAnalysis/>",
                400,
                "MalformedXML",
            ),
            (
                "<Id>one</Id><StorageClassAnalysis><DataExport><OutputSchemaVersion>V_1\
                 </OutputSchemaVersion><Destination><S3BucketDestination><Format>CSV</Format>\
                 <Bucket>results</Bucket></S3BucketDestination></Destination></DataExport>\
                 </StorageClassAnalysis>",
                400,
                "InvalidArgument",
            ),
        ],
        unset: Unset::Error("NoSuchConfiguration"),
        is_removable: true,
        empty: MISSING,
        is_strict: true,
        bucket: "bucket",
    },
    Kind {
        query: "metrics&id=one",
        root: "MetricsConfiguration",
        valid: [
            "<Id>one</Id><Filter><And><Prefix>p</Prefix><Tag><Key>a</Key><Value>1</Value></Tag>\
             <AccessPointArn>arn:aws:s3:r:1:accesspoint/x</AccessPointArn></And></Filter>",
            "<Id>one</Id>",
        ],
        refused: &[
            ("<Id>two</Id>", 400, "IdMismatch"),
            ("", 400, "MalformedXML"),
            (
                "<Id>one</Id><Filter><AccessPointArn>x</AccessPointArn></Filter>",
                400,
                "MalformedXML",
            ),
            (
                "<Id>one</Id><Filter><Prefix>p</Prefix><Prefix>q</Prefix></Filter>",
                400,
                "MalformedXML",
            ),
        ],
        unset: Unset::Error("NoSuchConfiguration"),
        is_removable: true,
        empty: MISSING,
        is_strict: true,
        bucket: "bucket",
    },
    Kind {
        query: "intelligent-tiering&id=one",
        root: "IntelligentTieringConfiguration",
        valid: [
            "<Id>one</Id><Filter><Tag><Key>a</Key><Value>1</Value></Tag></Filter>\
             <Status>Disabled</Status><Tiering><Days>180</Days>\
             <AccessTier>DEEP_ARCHIVE_ACCESS</AccessTier></Tiering>\
             <Tiering><Days>90</Days><AccessTier>ARCHIVE_ACCESS</AccessTier></Tiering>",
            "<Id>one</Id><Status>Enabled</Status><Tiering><Days>730</Days>\
             <AccessTier>ARCHIVE_ACCESS</AccessTier></Tiering>",
        ],
        refused: &[
            (
                "<Id>two</Id><Status>Enabled</Status><Tiering><Days>90</Days>\
                 <AccessTier>ARCHIVE_ACCESS</AccessTier></Tiering>",
                400,
                "IdMismatch",
            ),
            ("<Id>one</Id><Status>Enabled</Status>", 400, "MalformedXML"),
            (
                "<Id>one</Id><Status>Enabled</Status><Tiering><Days>89</Days>\
                 <AccessTier>ARCHIVE_ACCESS</AccessTier></Tiering>",
                400,
                "InvalidArgument",
            ),
            (
                "<Id>one</Id><Status>Enabled</Status><Tiering><Days>731</Days>\
                 <AccessTier>DEEP_ARCHIVE_ACCESS</AccessTier></Tiering>",
                400,
                "InvalidArgument",
            ),
            (
                "<Id>one</Id><Status>Enabled</Status><Tiering><Days>90</Days>\
                 <AccessTier>ARCHIVE_ACCESS</AccessTier></Tiering><Tiering><Days>91</Days>\
                 <AccessTier>ARCHIVE_ACCESS</AccessTier></Tiering>",
                400,
                "InvalidArgument",
            ),
        ],
        unset: Unset::Error("NoSuchConfiguration"),
        is_removable: true,
        empty: MISSING,
        is_strict: true,
        bucket: "bucket",
    },
    Kind {
        query: "cors",
        root: "CORSConfiguration",
        valid: [
            "<CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin>\
             </CORSRule>",
            "<CORSRule><ID>x</ID><AllowedMethod>PUT</AllowedMethod>\
             <AllowedOrigin>http://a</AllowedOrigin></CORSRule>",
        ],
        refused: &[
            ("", 400, "MalformedXML"),
            ("<CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule>", 400, "MalformedXML"),
            (
                "<CORSRule><ID>x</ID><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET\
                 </AllowedMethod></CORSRule><CORSRule><ID>x</ID><AllowedOrigin>*</AllowedOrigin>\
                 <AllowedMethod>PUT</AllowedMethod></CORSRule>",
                400,
                "InvalidArgument",
            ),
        ],
        unset: Unset::Error("NoSuchCORSConfiguration"),
        is_removable: true,
        empty: MISSING,
        is_strict: true,
        bucket: "bucket",
    },
    Kind {
        query: "versioning",
        root: "VersioningConfiguration",
        valid: ["<Status>Enabled</Status>", "<Status>Suspended</Status>"],
        refused: &[
            ("<Status>On</Status>", 400, "MalformedXML"),
            ("", 400, "IllegalVersioningConfigurationException"),
            ("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>", 403, "AccessDenied"),
        ],
        unset: Unset::Told(""),
        is_removable: false,
        empty: MISSING,
        is_strict: false,
        bucket: "bucket",
    },
    Kind {
        query: "object-lock",
        root: "ObjectLockConfiguration",
        valid: [
            "<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
             <Mode>GOVERNANCE</Mode><Days>3</Days></DefaultRetention></Rule>",
            "<ObjectLockEnabled>Enabled</ObjectLockEnabled>",
        ],
        refused: &[
            ("<ObjectLockEnabled>Disabled</ObjectLockEnabled>", 400, "MalformedXML"),
            (
                "<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
                 <Mode>GOVERNANCE</Mode></DefaultRetention></Rule>",
                400,
                "MalformedXML",
            ),
            (
                "<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
                 <Mode>GOVERNANCE</Mode><Days>0</Days></DefaultRetention></Rule>",
                400,
                "InvalidArgument",
            ),
        ],
        unset: Unset::Told("<ObjectLockEnabled>Enabled</ObjectLockEnabled>"),
        is_removable: false,
        empty: MISSING,
        is_strict: false,
        bucket: "locked",
    },
    Kind {
        query: "lifecycle",
        root: "LifecycleConfiguration",
        valid: [
            "<Rule><ID>a</ID><Filter><Prefix>p</Prefix></Filter><Status>Enabled</Status>\
             <Expiration><Days>1</Days></Expiration></Rule>",
            "<Rule><ID>b</ID><Prefix>p</Prefix><Status>Disabled</Status>\
             <Expiration><Days>1</Days></Expiration></Rule>",
        ],
        refused: &[
            ("", 400, "MalformedXML"),
            (
                "<Rule><ID>a</ID><Filter><Prefix>p</Prefix></Filter><Status>Enabled</Status>\
                 <Expiration><Days>1</Days></Expiration></Rule><Rule><ID>a</ID><Filter>\
                 <Prefix>q</Prefix></Filter><Status>Enabled</Status><Expiration><Days>1</Days>\
                 </Expiration></Rule>",
                400,
                "InvalidArgument",
            ),
            (
                "<Rule><ID>a</ID><Filter><Prefix>p</Prefix></Filter><Status>Enabled</Status>\
                 <Expiration><Days>0</Days></Expiration></Rule>",
                400,
                "InvalidArgument",
            ),
        ],
        unset: Unset::Error("NoSuchLifecycleConfiguration"),
        is_removable: true,
        empty: MISSING,
        is_strict: true,
        bucket: "bucket",
    },
    Kind {
        query: "encryption",
        root: "ServerSideEncryptionConfiguration",
        valid: [
            "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm>\
             <KMSMasterKeyID>alias/k</KMSMasterKeyID></ApplyServerSideEncryptionByDefault>\
             <BucketKeyEnabled>true</BucketKeyEnabled></Rule>",
            "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>\
             </ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled></Rule>",
        ],
        refused: &[
            ("", 400, "MalformedXML"),
            (
                "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>DES</SSEAlgorithm>\
                 </ApplyServerSideEncryptionByDefault></Rule>",
                400,
                "MalformedXML",
            ),
            (
                "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>\
                 <KMSMasterKeyID>alias/k</KMSMasterKeyID></ApplyServerSideEncryptionByDefault>\
                 </Rule>",
                400,
                "InvalidArgument",
            ),
        ],
        unset: Unset::Told(
            "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>\
             </ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled></Rule>",
        ),
        is_removable: true,
        empty: MALFORMED,
        is_strict: false,
        bucket: "bucket",
    },
    Kind {
        query: "website",
        root: "WebsiteConfiguration",
        valid: [
            "<IndexDocument><Suffix>index.html</Suffix></IndexDocument><ErrorDocument>\
             <Key>error.html</Key></ErrorDocument>",
            "<RedirectAllRequestsTo><HostName>example.com</HostName></RedirectAllRequestsTo>",
        ],
        refused: &[
            ("", 400, "InvalidArgument"),
            ("<IndexDocument><Suffix>a/b</Suffix></IndexDocument>", 400, "InvalidArgument"),
            ("<RedirectAllRequestsTo></RedirectAllRequestsTo>", 400, "MalformedXML"),
        ],
        unset: Unset::Error("NoSuchWebsiteConfiguration"),
        is_removable: true,
        empty: MISSING,
        is_strict: true,
        bucket: "bucket",
    },
];

impl Kind {
    fn target(&self) -> String {
        format!("/{}?{}", self.bucket, self.query)
    }

    /// Sets a document; some kinds want its digest.
    async fn put(&self, edge: &Edge, document: String) -> Answer {
        let put = edge.put(&self.target()).header("content-md5", &md5(&document));
        put.body(document).send().await
    }

    fn document(&self, inside: &str) -> String {
        format!("<{root}>{inside}</{root}>", root = self.root)
    }

    /// What a document says, without declaration, namespace and the root.
    fn inside(&self, document: &str) -> String {
        let start = document.find(&format!("<{}", self.root)).unwrap_or_else(|| {
            panic!("{}: no {} in {document}", self.query, self.root);
        });
        let (_, rest) = document[start..].split_once('>').unwrap();
        rest.strip_suffix(&format!("</{}>", self.root)).unwrap().to_owned()
    }

    async fn told(&self, edge: &Edge) -> String {
        let answer = edge.get(&self.target()).send().await.expect_status(200);
        self.inside(answer.text())
    }

    async fn expect_unset(&self, edge: &Edge) {
        match self.unset {
            Unset::Error(code) => {
                edge.get(&self.target()).send().await.expect_error(404, code);
            }
            Unset::Told(inside) => assert_eq!(self.told(edge).await, inside, "{}", self.query),
        }
    }

    /// Refuses `document`, and leaves what was set.
    async fn expect_refusal(&self, edge: &Edge, document: String, error: (u16, &str)) {
        let before = self.told(edge).await;
        let answer = self.put(edge, document.clone()).await;
        let shown = document.get(..200).unwrap_or(&document);
        assert_eq!(
            (answer.status.as_u16(), answer.element("Code").as_str()),
            error,
            "{}: {shown}",
            self.query
        );
        assert_eq!(self.told(edge).await, before, "{}: {shown}", self.query);
    }
}

async fn edge() -> Edge {
    let edge = Edge::start().await;
    edge.put("/bens").signed_by(BEN).send().await.expect_status(200);
    edge.put("/logs").send().await.expect_status(200);
    let locked = edge.put("/locked").header("x-amz-bucket-object-lock-enabled", "true");
    locked.send().await.expect_status(200);
    edge
}

fn md5(text: &str) -> String {
    STANDARD.encode(<md5::Md5 as md5::Digest>::digest(text.as_bytes()))
}

#[tokio::test]
async fn every_configuration_is_told_as_it_was_set() {
    let edge = edge().await;
    for kind in KINDS {
        kind.expect_unset(&edge).await;
        for inside in &kind.valid {
            let put = kind.put(&edge, kind.document(inside)).await;
            assert!(put.status.is_success(), "{}: {}", kind.query, put.text());
            let told = kind.told(&edge).await;
            assert_eq!(told, *inside, "{}", kind.query);
        }
    }
}

#[tokio::test]
async fn documents_that_are_wrong_are_refused_and_change_nothing() {
    let edge = edge().await;
    for kind in KINDS {
        let valid = kind.document(kind.valid[0]);
        kind.put(&edge, valid.clone()).await;
        for (inside, status, code) in kind.refused {
            kind.expect_refusal(&edge, kind.document(inside), (*status, code)).await;
        }
        let cut = valid[..valid.len() - 1].to_owned();
        kind.expect_refusal(&edge, cut, MALFORMED).await;
        kind.expect_refusal(&edge, "no document".to_owned(), MALFORMED).await;
        kind.expect_refusal(&edge, String::new(), kind.empty).await;
        let other_root = format!("<Other>{}</Other>", kind.valid[0]);
        kind.expect_refusal(&edge, other_root, MALFORMED).await;
        let entity = format!("<!DOCTYPE x [<!ENTITY e \"v\">]>{valid}");
        kind.expect_refusal(&edge, entity, MALFORMED).await;
        let unknown = kind.document(&format!("{}<Unknown>1</Unknown>", kind.valid[0]));
        if kind.is_strict {
            kind.expect_refusal(&edge, unknown, MALFORMED).await;
        } else {
            let taken = kind.put(&edge, unknown).await;
            assert!(taken.status.is_success(), "{}", kind.query);
            assert_eq!(kind.told(&edge).await, kind.valid[0], "{}", kind.query);
        }
        let spaces = " ".repeat(OVERSIZED_LEN_BYTES);
        let oversized = kind.document(&format!("{}{spaces}", kind.valid[0]));
        kind.expect_refusal(&edge, oversized, (400, "MaxMessageLengthExceeded")).await;
    }
}

/// A policy is no XML, and has rules of its own for what is wrong.
#[tokio::test]
async fn policies_that_are_wrong_are_refused_and_change_nothing() {
    let edge = edge().await;
    edge.get("?policy").send().await.expect_error(404, "NoSuchBucketPolicy");
    let statement = "{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:GetObject\",\
                     \"Resource\":\"arn:aws:s3:::bucket/*\"}";
    let document =
        |statements: &str| format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{statements}]}}");
    let valid = document(statement);
    edge.put("?policy").body(valid.clone()).send().await.expect_status(204);
    let with_id = statement.replacen('{', "{\"Sid\":\"a\",", 1);
    let unknown = statement.replacen('{', "{\"Unknown\":1,", 1);
    for (wrong, code) in [
        (String::new(), "MissingRequestBodyError"),
        (valid[1..].to_owned(), "MalformedPolicy"),
        ("<Policy/>".to_owned(), "MalformedPolicy"),
        (document(&unknown), "MalformedPolicy"),
        (document(&format!("{with_id},{with_id}")), "MalformedPolicy"),
        (valid.replace("bucket/*", "other/*"), "MalformedPolicy"),
        (document(&format!("{statement}{}", " ".repeat(30_000))), "MalformedPolicy"),
        (document(&" ".repeat(OVERSIZED_LEN_BYTES)), "MaxMessageLengthExceeded"),
    ] {
        let shown = wrong.get(..200).unwrap_or(&wrong).to_owned();
        let answer = edge.put("?policy").body(wrong).send().await;
        assert_eq!((answer.status.as_u16(), &*answer.element("Code")), (400, code), "{shown}");
        assert_eq!(edge.get("?policy").send().await.text(), valid);
    }
    edge.delete("?policy").send().await.expect_status(204);
    edge.get("?policy").send().await.expect_error(404, "NoSuchBucketPolicy");
}

#[tokio::test]
async fn what_is_removed_is_gone() {
    let edge = edge().await;
    for kind in KINDS {
        let valid = kind.document(kind.valid[0]);
        kind.put(&edge, valid).await;
        let removal = edge.delete(&kind.target()).send().await;
        if kind.is_removable {
            removal.expect_status(204);
            kind.expect_unset(&edge).await;
        } else {
            removal.expect_error(501, "NotImplemented");
        }
    }
    let twice = edge.delete("?metrics&id=one").send().await;
    twice.expect_error(404, "NoSuchConfiguration");
}

#[tokio::test]
async fn configurations_are_for_the_owner_and_for_buckets_that_are_there() {
    let edge = edge().await;
    for kind in KINDS {
        let valid = kind.document(kind.valid[0]);
        let put = || edge.put(&kind.target()).body(valid.clone());
        put().signed_by(BEN).send().await.expect_error(403, "AccessDenied");
        put().anonymous().send().await.expect_error(403, "AccessDenied");
        let nowhere = format!("/nosuch?{}", kind.query);
        edge.get(&nowhere).send().await.expect_error(404, "NoSuchBucket");
        edge.put(&nowhere).body(valid.clone()).send().await.expect_error(404, "NoSuchBucket");
    }
}

#[tokio::test]
async fn configurations_leave_with_their_bucket() {
    let edge = edge().await;
    for kind in KINDS.iter().filter(|kind| kind.bucket == "bucket") {
        kind.put(&edge, kind.document(kind.valid[0])).await;
    }
    edge.delete("").send().await.expect_status(204);
    edge.put("").send().await.expect_status(200);
    for kind in KINDS.iter().filter(|kind| kind.bucket == "bucket") {
        kind.expect_unset(&edge).await;
    }
}

#[tokio::test]
async fn buckets_are_made_with_tags() {
    let edge = Edge::start().await;
    let document = "<CreateBucketConfiguration><Tags><Tag><Key>b</Key><Value>1</Value></Tag>\
                    <Tag><Key>a</Key><Value>2</Value></Tag></Tags></CreateBucketConfiguration>";
    edge.put("/tagged").body(document).send().await.expect_status(200);
    let told = edge.get("/tagged?tagging").send().await.expect_status(200);
    assert_eq!(told.elements("Key"), ["b", "a"]);
    let wrong = document.replace("<Key>b<", "<Key>a<");
    edge.put("/other").body(wrong).send().await.expect_error(400, "InvalidTag");
    edge.head("/other").send().await.expect_status(404);
}

#[tokio::test]
async fn a_bucket_has_at_most_fifty_tags() {
    let edge = Edge::start().await;
    let tags = |count: usize| {
        let tag = |n| format!("<Tag><Key>k{n}</Key><Value></Value></Tag>");
        let tags: String = (0..count).map(tag).collect();
        format!("<Tagging><TagSet>{tags}</TagSet></Tagging>")
    };
    edge.put("?tagging").body(tags(50)).send().await.expect_status(204);
    edge.put("?tagging").body(tags(51)).send().await.expect_error(400, "BadRequest");
    let told = edge.get("?tagging").send().await.expect_status(200);
    assert_eq!(told.elements("Key").len(), 50);
    edge.put("?tagging").body(tags(0)).send().await.expect_status(204);
    edge.get("?tagging").send().await.expect_error(404, "NoSuchTagSet");
}

#[tokio::test]
async fn configurations_with_ids_are_listed_in_pages() {
    let edge = Edge::start().await;
    let put = async |n: usize| {
        let id = format!("id{n:04}");
        let document = format!("<MetricsConfiguration><Id>{id}</Id></MetricsConfiguration>");
        edge.put(&format!("?metrics&id={id}")).body(document).send().await
    };
    for n in 0..250 {
        put(n).await.expect_status(200);
    }
    // Another kind with the same ids is another list.
    let other = "<AnalyticsConfiguration><Id>id0000</Id><StorageClassAnalysis/>\
                 </AnalyticsConfiguration>";
    edge.put("?analytics&id=id0000").body(other).send().await.expect_status(200);
    let (mut ids, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let query = match token.as_str() {
            "" => "?metrics".to_owned(),
            token => format!("?metrics&continuation-token={token}"),
        };
        let page = edge.get(&query).send().await.expect_status(200);
        pages += 1;
        ids.extend(page.elements("Id"));
        token = page.element("NextContinuationToken");
        assert_eq!(page.element("IsTruncated"), (!token.is_empty()).to_string());
        if token.is_empty() {
            break;
        }
    }
    let expected: Vec<String> = (0..250).map(|n| format!("id{n:04}")).collect();
    assert_eq!((ids, pages), (expected, 3));
    let wrong = edge.get("?metrics&continuation-token=x").send().await;
    wrong.expect_error(400, "InvalidArgument");
    for n in 250..1000 {
        put(n).await.expect_status(200);
    }
    put(1000).await.expect_error(400, "TooManyConfigurations");
    // One that is there is replaced.
    put(0).await.expect_status(200);
}

#[tokio::test]
async fn ids_of_configurations_have_their_alphabet() {
    let edge = Edge::start().await;
    let long = "x".repeat(65);
    for id in ["", "a%2Fb", "a%20b", &long] {
        let document = format!("<MetricsConfiguration><Id>{id}</Id></MetricsConfiguration>");
        let put = edge.put(&format!("?metrics&id={id}")).body(document).send().await;
        put.expect_error(400, "InvalidArgument");
    }
}

#[tokio::test]
async fn buckets_with_periods_are_not_accelerated() {
    let edge = Edge::start().await;
    edge.put("/with.periods").send().await.expect_status(200);
    let document = "<AccelerateConfiguration><Status>Enabled</Status></AccelerateConfiguration>";
    let put = edge.put("/with.periods?accelerate").body(document).send().await;
    put.expect_error(400, "InvalidRequest");
}

#[tokio::test]
async fn requesters_that_pay_say_so() {
    let edge = Edge::start().await;
    edge.store("key", "bytes").await;
    let document = "<RequestPaymentConfiguration><Payer>Requester</Payer>\
                    </RequestPaymentConfiguration>";
    edge.put("?requestPayment").body(document).send().await.expect_status(200);
    // The owner pays anyway, and the anonymous cannot.
    let owners = edge.get("key").signed_by(ANN).send().await.expect_status(200);
    assert_eq!(owners.header("x-amz-request-charged"), "");
    let theirs = || edge.get("key").signed_by(ROOT);
    theirs().send().await.expect_error(403, "AccessDenied");
    let charged = theirs().header("x-amz-request-payer", "requester").send().await;
    let charged = charged.expect_status(200);
    assert_eq!(charged.header("x-amz-request-charged"), "requester");
    let copy =
        || edge.put("/roots/copy").signed_by(ROOT).header("x-amz-copy-source", "/bucket/key");
    edge.put("/roots").signed_by(ROOT).send().await.expect_status(200);
    copy().send().await.expect_error(403, "AccessDenied");
    copy().header("x-amz-request-payer", "requester").send().await.expect_status(200);
}

#[tokio::test]
async fn what_comes_later_is_not_implemented() {
    let edge = Edge::start().await;
    edge.store("key", "bytes").await;
    let none: &[u8] = b"";
    for target in [
        "?notification",
        "?replication",
        "?inventory",
        "?inventory&id=one",
        "?metadataTable",
        "?metadataConfiguration",
        "?metadataInventoryTable",
        "?metadataJournalTable",
    ] {
        for ask in [edge.get(target), edge.put(target), edge.delete(target)] {
            ask.body(none).send().await.expect_error(501, "NotImplemented");
        }
    }
    edge.get("key?torrent").send().await.expect_error(501, "NotImplemented");
    for target in ["key?restore", "key?select&select-type=2"] {
        edge.post(target).send().await.expect_error(501, "NotImplemented");
    }
    edge.get("key").send().await.expect_status(200);
}
