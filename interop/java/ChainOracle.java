import eu.emi.security.authn.x509.CrlCheckingMode;
import eu.emi.security.authn.x509.NamespaceCheckingMode;
import eu.emi.security.authn.x509.OCSPCheckingMode;
import eu.emi.security.authn.x509.OCSPParametes;
import eu.emi.security.authn.x509.ProxySupport;
import eu.emi.security.authn.x509.RevocationParameters;
import eu.emi.security.authn.x509.ValidationResult;
import eu.emi.security.authn.x509.impl.OpensslCertChainValidator;
import eu.emi.security.authn.x509.impl.PEMCredential;
import eu.emi.security.authn.x509.impl.ValidatorParams;
import java.io.BufferedReader;
import java.io.File;
import java.io.FileInputStream;
import java.io.InputStreamReader;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.Security;
import java.security.cert.CertStore;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.Arrays;
import org.globus.gsi.CertificateRevocationLists;
import org.globus.gsi.X509Credential;
import org.globus.gsi.X509ProxyCertPathParameters;
import org.globus.gsi.provider.GlobusProvider;
import org.globus.gsi.provider.KeyStoreParametersFactory;
import org.globus.gsi.stores.ResourceCertStoreParameters;
import org.globus.gsi.stores.ResourceSigningPolicyStore;
import org.globus.gsi.stores.ResourceSigningPolicyStoreParameters;
import org.globus.gsi.trustmanager.X509ProxyCertPathValidator;

/**
 * Asks canl and JGlobus about proxy chains. It reads lines of "number, file, trust directory, CRLs required (true or
 * false)", separated by tabs, and writes "number, oracle, ok or no or crash, its words". A crash is an exception that
 * no caller could expect.
 */
public class ChainOracle {
    public static void main(String[] args) throws Exception {
        Security.addProvider(new GlobusProvider());
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        for (String line; (line = in.readLine()) != null; ) {
            String[] f = line.split("\t");
            say(f[0], "canl", () -> canl(f[1], f[2], Boolean.parseBoolean(f[3])));
            say(f[0], "JGlobus", () -> jglobus(f[1], f[2]));
        }
        System.exit(0);
    }

    interface Question {
        String ask() throws Exception;
    }

    static void say(String number, String oracle, Question q) {
        String verdict = "ok", words = "";
        try {
            words = q.ask();
            verdict = words.isEmpty() ? "ok" : "no";
        } catch (GeneralSecurityException | java.io.IOException | IllegalArgumentException e) {
            verdict = e.getCause() instanceof ClassCastException ? "crash" : "no";
            words = e.toString();
        } catch (Throwable e) {
            verdict = "crash";
            words = e.toString();
        }
        System.out.println(number + "\t" + oracle + "\t" + verdict + "\t" + words.replaceAll("\\s+", " "));
    }

    static String canl(String file, String dir, boolean required) throws Exception {
        RevocationParameters revocation = new RevocationParameters(required ? CrlCheckingMode.REQUIRE : CrlCheckingMode.IF_VALID,
            new OCSPParametes(OCSPCheckingMode.IGNORE));
        OpensslCertChainValidator validator = new OpensslCertChainValidator(dir, NamespaceCheckingMode.EUGRIDPMA_GLOBUS, -1,
            new ValidatorParams(revocation, ProxySupport.ALLOW));
        try (FileInputStream in = new FileInputStream(file)) {
            ValidationResult result = validator.validate(new PEMCredential(in, (char[]) null).getCertificateChain());
            return result.isValid() ? "" : String.valueOf(result.getErrors());
        } finally {
            validator.dispose();
        }
    }

    static String jglobus(String file, String dir) throws Exception {
        KeyStore anchors = KeyStore.getInstance(GlobusProvider.KEYSTORE_TYPE, GlobusProvider.PROVIDER_NAME);
        anchors.load(KeyStoreParametersFactory.createTrustStoreParameters("file:" + dir + "/*.0"));
        CertStore crls = CertStore.getInstance(GlobusProvider.CERTSTORE_TYPE, new ResourceCertStoreParameters(null, "file:" + dir + "/*.r0"));
        ResourceSigningPolicyStore policies =
            new ResourceSigningPolicyStore(new ResourceSigningPolicyStoreParameters("file:" + dir + "/*.signing_policy"));
        CertificateRevocationLists.setDefaultCertificateRevocationList(CertificateRevocationLists.getCertificateRevocationLists(dir));
        X509Certificate[] chain = new X509Credential(file).getCertificateChain();
        new X509ProxyCertPathValidator().engineValidate(
            CertificateFactory.getInstance("X.509").generateCertPath(Arrays.asList(chain)),
            new X509ProxyCertPathParameters(anchors, crls, policies, false));
        return "";
    }
}
