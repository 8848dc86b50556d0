import eu.emi.security.authn.x509.CrlCheckingMode;
import eu.emi.security.authn.x509.NamespaceCheckingMode;
import eu.emi.security.authn.x509.X509CertChainValidatorExt;
import eu.emi.security.authn.x509.impl.CertificateUtils;
import eu.emi.security.authn.x509.impl.CertificateUtils.Encoding;
import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.security.cert.X509Certificate;
import java.util.Arrays;
import java.util.List;
import org.italiangrid.voms.ac.VOMSACValidator;
import org.italiangrid.voms.ac.VOMSValidationResult;
import org.italiangrid.voms.ac.impl.DefaultVOMSValidationStrategy;
import org.italiangrid.voms.ac.impl.DefaultVOMSValidator;
import org.italiangrid.voms.store.VOMSTrustStore;
import org.italiangrid.voms.store.impl.DefaultVOMSTrustStore;
import org.italiangrid.voms.util.CertificateValidatorBuilder;

/**
 * What voms-api-java says of chains: a line in has a trust directory, a vomsdir, a PEM file with a chain and the
 * name of this host; a line out has "ok" and the FQANs, or "no" and the reason.
 */
public final class VomsValidator {
    private VomsValidator() {
    }

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] a = line.split("\t");
            String verdict;
            try {
                verdict = judge(a[0], a[1], a[3], a[2]);
            } catch (Throwable t) {
                verdict = "no " + t;
            }
            System.out.println(verdict.replaceAll("\\s+", " "));
        }
        System.exit(0);
    }

    private static String judge(String certificates, String vomsdir, String host, String file) throws Exception {
        X509Certificate[] chain;
        try (InputStream in = new FileInputStream(file)) {
            chain = CertificateUtils.loadCertificateChain(in, Encoding.PEM);
        }
        X509CertChainValidatorExt canl = new CertificateValidatorBuilder().trustAnchorsDir(certificates)
                .namespaceChecks(NamespaceCheckingMode.EUGRIDPMA_GLOBUS).crlChecks(CrlCheckingMode.IF_VALID)
                .trustAnchorsUpdateInterval(-1).build();
        VOMSTrustStore store = new DefaultVOMSTrustStore(Arrays.asList(vomsdir));
        VOMSACValidator validator = new DefaultVOMSValidator.Builder().trustStore(store).certChainValidator(canl)
                .validationStrategy(new DefaultVOMSValidationStrategy(store, canl, () -> host)).build();
        List<VOMSValidationResult> results = validator.validateWithResult(chain);
        StringBuilder fqans = new StringBuilder("ok");
        for (VOMSValidationResult r : results) {
            if (!r.isValid()) {
                return "no " + r.getValidationErrors();
            }
            fqans.append(' ').append(String.join(" ", r.getAttributes().getFQANs()));
        }
        return results.isEmpty() ? "no attributes" : fqans.toString();
    }
}
