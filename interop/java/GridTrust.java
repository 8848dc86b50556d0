import eu.emi.security.authn.x509.CrlCheckingMode;
import eu.emi.security.authn.x509.NamespaceCheckingMode;
import eu.emi.security.authn.x509.OCSPCheckingMode;
import eu.emi.security.authn.x509.OCSPParametes;
import eu.emi.security.authn.x509.ProxySupport;
import eu.emi.security.authn.x509.RevocationParameters;
import eu.emi.security.authn.x509.ValidationResult;
import eu.emi.security.authn.x509.impl.OpensslCertChainValidator;
import eu.emi.security.authn.x509.impl.OpensslNameUtils;
import eu.emi.security.authn.x509.impl.ValidatorParams;
import eu.emi.security.authn.x509.proxy.ProxyUtils;
import java.security.cert.X509Certificate;
import org.apache.ws.security.WSSecurityException;
import org.apache.ws.security.handler.RequestData;
import org.apache.ws.security.validate.Credential;
import org.apache.ws.security.validate.Validator;

/** Trust in a signer's chain by a grid CA directory, proxies included: canl decides, in place of WSS4J's own check. */
final class GridTrust implements Validator {
    private final OpensslCertChainValidator canl;

    GridTrust(String directory) {
        RevocationParameters revocation = new RevocationParameters(
                CrlCheckingMode.IF_VALID, new OCSPParametes(OCSPCheckingMode.IGNORE));
        canl = new OpensslCertChainValidator(directory, NamespaceCheckingMode.EUGRIDPMA_GLOBUS, -1,
                new ValidatorParams(revocation, ProxySupport.ALLOW));
    }

    @Override
    public Credential validate(Credential signer, RequestData data) throws WSSecurityException {
        X509Certificate[] chain = signer.getCertificates();
        if (chain == null || chain.length == 0) {
            throw new WSSecurityException("the signature names no certificate");
        }
        ValidationResult result = canl.validate(chain);
        if (!result.isValid()) {
            throw new WSSecurityException("canl refuses the chain: " + result.getErrors());
        }
        return signer;
    }

    /** The end entity's DN in OpenSSL's one-line form. */
    static String identity(X509Certificate[] chain) {
        String name = ProxyUtils.isProxy(chain)
                ? ProxyUtils.getOriginalUserDN(chain).getName()
                : chain[0].getSubjectX500Principal().getName();
        return OpensslNameUtils.convertFromRfc2253(name, false);
    }
}
