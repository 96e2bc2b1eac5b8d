//! `datamesh server`: where buckets are served as websites.

use std::net::SocketAddr;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct WebsiteArgs {
    /// Address for buckets served as websites; off without it
    ///
    /// Plain HTTP, or TLS with the certificate that S3 is served with. Port 0 picks a free one.
    #[arg(long = "website", value_name = "ADDR", env = "DATAMESH_WEBSITE")]
    pub(crate) listen: Option<SocketAddr>,

    /// Domain under which a bucket is a website (bucket.DOMAIN); may be given more than once
    ///
    /// A host under none of them is itself the name of a bucket.
    #[arg(
        id = "website_domains",
        long = "website-domain",
        value_name = "DOMAIN",
        requires = "listen",
        env = "DATAMESH_WEBSITE_DOMAINS",
        value_delimiter = ','
    )]
    pub(crate) domains: Vec<String>,
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::args::{Cli, Command};

    fn parse(more: &[&str]) -> Result<super::WebsiteArgs, clap::Error> {
        let server = ["datamesh", "server", "--data", "d"].iter().chain(more);
        Cli::try_parse_from(server).map(|cli| match cli.command {
            Command::Server(args) => args.website,
            _ => panic!("it is a server"),
        })
    }

    #[test]
    fn websites_are_off_unless_asked_for() {
        assert_eq!(parse(&[]).expect("parses").listen, None);
        let args = parse(&["--website", "0.0.0.0:80", "--website-domain", "a,b"]).expect("parses");
        assert_eq!(args.domains, ["a", "b"]);
        assert!(parse(&["--website-domain", "a"]).is_err());
        assert!(parse(&["--website", "nowhere"]).is_err());
    }
}
