package example;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestTemplate;

/** Answers with its name and what the next service says. It forwards no header. */
@SpringBootApplication
@RestController
public class Service {
  private final RestTemplate client = new RestTemplate();

  public static void main(String[] arguments) {
    SpringApplication.run(Service.class, arguments);
  }

  @GetMapping("/")
  public String answer() {
    return "java -> " + client.getForObject(System.getenv("NEXT"), String.class);
  }
}
