//! The S3 port.
//!
//! Owns [`S3Edge`], which puts the layers together; connections are `port`'s business.

use std::{future::Future, sync::Arc};

use gateway_iam::Directory;
use gateway_object::ObjectService;
use node_proto::Clock;
use s3s::{
    config::{S3Config, StaticConfigProvider},
    region::Region,
    service::{S3Service, S3ServiceBuilder},
    validation::NameValidation,
};
use tokio::net::TcpListener;

use crate::{
    adapter::{Adapter, Hosts, OnlyForms, Secrets},
    authorization::Policies,
    call::Gateway,
    config::S3EdgeConfig,
    exchange::Exchanges,
    explain::SKEW_MAX_SECONDS,
    front::Front,
    port::{self, ServeError},
    request_id::RequestIds,
    target::Domains,
    telemetry,
    tls::TlsConfig,
    website::WebsiteEdge,
};

/// Most bytes of a form besides its file. S3 allows 20 KiB; policies of our own may be longer.
pub(crate) const FORM_FIELDS_LEN_BYTES_MAX: usize = 128 << 10;
/// Most fields of a form. Chosen.
const FORM_FIELD_COUNT_MAX: usize = 256;
/// How old a form's signature may be. Its policy says until when it is valid; S3's signing keys are
/// for a week.
const FORM_AGE_SECONDS_MAX: u32 = 7 * 24 * 60 * 60;
/// Largest object of one request, which is S3's limit. The service has the last word.
const OBJECT_LEN_BYTES_MAX: u64 = 5 << 30;

/// S3 over HTTP. Built once, served on any number of listeners.
pub struct S3Edge {
    pub(crate) front: Arc<Front>,
    config: S3EdgeConfig,
}

impl S3Edge {
    /// An edge to `service`. Signatures are verified with the secrets of `directory`.
    ///
    /// `clock` is for what the edge itself dates; the age of signatures is judged by the system
    /// clock, which the signature library reads.
    #[must_use]
    pub fn new(
        service: ObjectService,
        directory: Arc<Directory>,
        clock: Arc<dyn Clock>,
        config: S3EdgeConfig,
    ) -> Self {
        telemetry::describe();
        let domains = Domains::new(&config.domains);
        let gateway = Arc::new(Gateway {
            service,
            directory: Arc::clone(&directory),
            config: config.clone(),
            clock: Arc::clone(&clock),
            policies: Policies::default(),
        });
        let adapter = Adapter { gateway: Arc::clone(&gateway), domains: domains.clone() };
        let exchanges = Exchanges {
            ids: RequestIds::new(),
            clock,
            header_len_bytes_max: config.header_len_bytes_max,
        };
        let inner = adapter_config(&config, SKEW_MAX_SECONDS);
        let mut forms = adapter_config(&config, FORM_AGE_SECONDS_MAX);
        forms.enable_sig_v2 = config.allow_signature_v2;
        let front = Front {
            exchanges: Arc::new(exchanges),
            inner: service_of(&adapter, &directory, inner),
            forms: service_of(&adapter, &directory, forms),
            gateway,
            domains,
            region: config.region.clone(),
            allow_signature_v2: config.allow_signature_v2,
            pace: config.pace(),
        };
        Self { front: Arc::new(front), config }
    }

    /// An edge that serves buckets as websites, under these domains and under hosts that are the
    /// names of buckets, with this edge's settings.
    #[must_use]
    pub fn website(&self, domains: &[String]) -> WebsiteEdge {
        let (gateway, exchanges) = (&self.front.gateway, &self.front.exchanges);
        let config = self.config.clone();
        WebsiteEdge::new(Arc::clone(gateway), Arc::clone(exchanges), domains, config)
    }

    /// Serves until `shutdown` completes, then drains.
    ///
    /// # Errors
    /// [`ServeError`] when the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        tls: Option<TlsConfig>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        port::serve(self.front, self.config, listener, tls, shutdown).await
    }
}

fn service_of(adapter: &Adapter, directory: &Arc<Directory>, settings: S3Config) -> S3Service {
    let mut builder = S3ServiceBuilder::new(adapter.clone());
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(settings))));
    builder.set_auth(Secrets(Arc::clone(directory)));
    builder.set_access(OnlyForms);
    builder.set_host(Hosts(adapter.domains.clone()));
    builder.set_route(adapter.clone());
    builder.set_validation(AnyName);
    builder.build()
}

/// Settings of an adapter that lets signatures be `skew_seconds` old.
fn adapter_config(config: &S3EdgeConfig, skew_seconds: u32) -> S3Config {
    let mut settings = S3Config::default();
    settings.presigned_url_max_skew_time_secs = skew_seconds;
    settings.xml_max_body_size = config.document_len_bytes_max;
    settings.post_object_max_file_size = OBJECT_LEN_BYTES_MAX;
    // Bodies pass the adapter by, and the service bounds them.
    settings.put_object_max_size = None;
    settings.custom_route_max_body_size = None;
    settings.aws_chunked_stream_max_chunk_size = config.signed_chunk_len_bytes_max;
    settings.form_max_field_size = FORM_FIELDS_LEN_BYTES_MAX;
    settings.form_max_fields_size = FORM_FIELDS_LEN_BYTES_MAX;
    settings.form_max_parts = FORM_FIELD_COUNT_MAX;
    settings.sig_v4_allowed_services = vec!["s3".to_owned()];
    // Forms carry their scope where only the adapter looks.
    settings.expected_region = Region::new(config.region.as_str().into()).ok();
    // Outside forms, signatures of version 2 are verified before the adapter.
    settings.enable_sig_v2 = false;
    settings.operation_id_routing = false;
    settings
}

/// Bucket names are the service's to judge.
struct AnyName;

impl NameValidation for AnyName {
    fn validate_bucket_name(&self, name: &str) -> bool {
        !name.is_empty()
    }
}
